"""What a command takes from others' bundles and run folders: the one way to load a team that is to be played.

The bundles come with the permission to make their world, which has what the user named in the command, and everything
in the manifests if a trusted key has signed them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.bundle import Bundle, load_team
from heliograph.certificates.signing_keys import require_trusted
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.run_status import bundle_folder


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whom a command trusts."""

    user: Permission = CATALOGUE_ONLY
    """What the user named."""
    keys: tuple[Path, ...] = ()
    """Public keys, of which one must have signed the bundles; none: they are taken unsigned."""
    insecure: bool = False
    """Bundles are taken although no key has signed them, and vouched for by nobody."""

    def team(self, folder: Path) -> tuple[list[Bundle], Permission]:
        """The bundles in a folder or a run folder, and the permission to make their world.

        Raises what `bundle_folder` and `load_team` raise, and BundleUntrusted for bundles that are not signed as they
        must be.
        """
        folder = bundle_folder(folder)
        bundles = load_team(folder)
        return bundles, self._permission(bundles, source=f"the manifest in {folder}")

    def _permission(self, bundles: Sequence[Bundle], *, source: str) -> Permission:
        signed = require_trusted(bundles, self.keys, insecure=self.insecure)
        return replace(self.user, everything=signed, source=source)


NOBODY = Trust()
