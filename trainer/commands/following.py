"""What `heliograph train` does on the ranks after the first: it learns, and leaves all telling and writing to that."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph import log
from heliograph.environments.consent import consented
from heliograph.errors import INTERRUPTED_EXIT_CODE
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


def follow(group: Ranks, *, permission: Permission, namespace: argparse.Namespace) -> int:
    """Train in the folder that the first rank names, if it has anything to train; 130 if interrupted."""
    told = group.of_lead(None)
    if told is None:
        return 0
    folder = RunFolder.open(Path(told["folder"]))
    if told["resume"]:
        world = folder.settings().environment
        permission = consented(folder.path, world.id, world.parameters, permission.of(folder.source))
    log.enter(run=folder.run_id)
    training = Training(folder, Untold(), resume=told["resume"], permission=permission, init_from=namespace.init_from)
    try:
        group.any(False)  # the first rank waits for that before it begins
        with obeying_signals(training.stopping):
            summary = training.run()
    finally:
        with optional("the environments did not close"):
            training.close()
    return INTERRUPTED_EXIT_CODE if summary.reason == "interrupted" else 0
