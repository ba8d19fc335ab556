"""The public name that every installation has: `heliograph.load_team`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliograph.bundle import Bundle
from heliograph.bundle import load_team as _load_team
from heliograph.certificates.signing_keys import require_trusted
from heliograph.run_status import bundle_folder


def load_team(path: str | Path, *, trusted_keys: Sequence[str | Path] = ()) -> list[Bundle]:
    """Load one bundle per agent, in the order of their slots; nothing in them is run.

    Args:
        path: A folder with `agent-0`, `agent-1`, … (directories or tars), or a run folder that has them in `bundles/`.
        trusted_keys: Files of public keys, of which one must have signed every bundle; without any, bundles are taken
            unsigned.

    Raises:
        BundleCorrupt: A bundle is missing, altered, or none.
        BundleMismatch: They are not one team, or of another format version.
        BundleUntrusted: One is not signed by a trusted key.
        SettingsError: A run folder has no bundles yet.
    """
    team = _load_team(bundle_folder(Path(path)))
    require_trusted(team, [Path(key) for key in trusted_keys])
    return team
