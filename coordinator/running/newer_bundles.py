"""The bundles of a run as it writes newer ones: looked for between episodes, and judged before a node hears of them.

Imported by `versions` and `command`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.plan.plan import Plan, check_sizes
from heliograph import codecs
from heliograph.bundle import Bundle, load_team
from heliograph.certificates.signing_keys import require_trusted
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleMismatch, HeliographError

logger = logging.getLogger(__name__)

State = tuple[tuple[str, int, int, int], ...]
"""Path, inode, time and size of every file of a team; another one means that something was written."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """A run whose newer bundles are wanted."""

    bundles: Path
    """The folder that it writes them to."""
    trusted_keys: tuple[Path, ...] = ()
    insecure: bool = False
    """Bundles are taken although none of the trusted keys has signed them."""


class NewerBundles:
    """Looks for other bundles than the current ones of a plan's team; each state of the folder is judged once."""

    def __init__(self, following: Following, plan: Plan, spec: EnvironmentSpec) -> None:
        self._following, self._plan, self._spec = following, plan, spec
        self._judged: State | None = None

    def look(self, current: Sequence[Bundle]) -> tuple[Bundle, ...] | None:
        """A whole team that fits and is not the current one; None if there is none, or it was found before.

        What is there and cannot be taken, as a mixture of two versions, is told in a warning.
        """
        folder = self._following.bundles
        state = _state(folder)
        if not state or state == self._judged:
            return None
        try:
            found, reason = self._checked(load_team(folder)), ""
        except HeliographError as error:
            found, reason = (), str(error)
        if _state(folder) != state:
            # It is being written; the next look finds how that ends.
            return None
        self._judged = state
        if reason:
            logger.warning("newer bundles not taken folder=%s reason=%r", folder, reason)
            return None
        return None if [one.digest for one in found] == [one.digest for one in current] else found

    def _checked(self, bundles: list[Bundle]) -> tuple[Bundle, ...]:
        """Raises what says that the plan cannot go on with these."""
        require_trusted(bundles, self._following.trusted_keys, insecure=self._following.insecure)
        now, then = self._plan.manifest, bundles[0].manifest
        bundles[0].check_slot(slot=0, team_size=now.team_size)
        bundles[0].check_environment(environment=now.environment, parameters=now.environment_parameters)
        for bundle in bundles:
            check_sizes(bundle.manifest, self._spec)
        if now.message != then.message:
            raise BundleMismatch(f"messages: bundles are made for {then.message}, this run has {now.message}")
        if then.message is not None:
            codecs.make(self._plan.codec, then.message, bundles[0].tables)
        return tuple(bundles)


def _state(folder: Path) -> State:
    entries = []
    try:
        for path in sorted(folder.glob("agent-*")):
            for file in sorted(path.iterdir()) if path.is_dir() else (path,):
                found = file.stat()
                entries.append((str(file.relative_to(folder)), found.st_ino, found.st_mtime_ns, found.st_size))
    except OSError:  # a file that goes while it is looked at: others come in its place
        return ()
    return tuple(entries)
