"""The public names that need no role: bundles and environments.  Reached as `heliograph.load_team` and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.bundle import Bundle
from heliograph.bundle import load_team as _load_team
from heliograph.certificates.signing_keys import require_trusted
from heliograph.environments.permission import Permission
from heliograph.environments.registry import make
from heliograph.environments.vector import VectorEnvironment
from heliograph.run_status import BUNDLES


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
    """
    folder = Path(path)
    team = _load_team(folder / BUNDLES if (folder / BUNDLES).is_dir() else folder)
    require_trusted(team, [Path(key) for key in trusted_keys])
    return team


def make_environment(
    environment: str, *, copies: int = 1, parameters: Mapping[str, Any] | None = None, workers: int = 0
) -> VectorEnvironment:
    """Make copies of an environment that are stepped together.

    The caller vouches for the id and the parameters: an import path is imported, from the current folder if need be.
    Do not hand on what a file says; `heliograph.evaluate` and `heliograph.run` know what a bundle may ask for.

    Args:
        environment: An id of `heliograph environments`, or an import path `package.module:factory` of a PettingZoo
            parallel environment.
        copies: How many are stepped at once; the first axis of observations, actions and rewards.
        parameters: Of the environment, as `heliograph environments ID` lists them.
        workers: Processes that the copies are spread over; 0 steps them in this one.

    Raises:
        UnknownEnvironment: No environment has this id.
        MissingExtra: Its simulator is not installed; the message says how to install it.
        SettingsError: A parameter is unknown or out of range.
        WorldError: The environment breaks the interface.
    """
    permission = Permission(environments=frozenset([environment]), everything=True, source="the program")
    return make(environment, count=copies, parameters=parameters, workers=workers, permission=permission)
