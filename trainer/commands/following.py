"""What `heliograph train` does on the ranks after the first: it learns, and leaves all telling and writing to that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph import log
from heliograph.environments.consent import consented
from heliograph.optional import optional
from heliograph.stopping import obeying_signals
from trainer.training.run_folder import RunFolder
from trainer.training.training import Training

if TYPE_CHECKING:
    from heliograph.environments.permission import Permission
    from trainer.ranks.group import Ranks


class Untold:
    """A `Progress` that nobody sees."""

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """How a run has ended, of which another rank has more to tell."""

    folder: Path
    interrupted: bool


def follow(group: Ranks, *, permission: Permission, init_from: Path | None) -> Followed | None:
    """Train in the folder that the first rank names; None if that has nothing to train."""
    told = group.of_lead(None)
    if told is None:
        return None
    folder = RunFolder.open(Path(told["folder"]))
    if told["resume"]:
        world = folder.settings().environment
        permission = consented(folder.path, world.id, world.parameters, permission.of(folder.source))
    log.enter(run=folder.run_id)
    training = Training(folder, Untold(), resume=told["resume"], permission=permission, init_from=init_from)
    try:
        group.any(False)  # the first rank waits for that before it begins
        with obeying_signals(training.stopping):
            summary = training.run()
    finally:
        with optional("the environments did not close"):
            training.close()
    return Followed(folder=folder.path, interrupted=summary.reason == "interrupted")
