"""How a run that ended amid its work goes on: from what, and with which command."""

from __future__ import annotations

from trainer.ranks.launched import train_command
from trainer.training.checkpoint import saved_checkpoints
from trainer.training.run_folder import RunFolder


def way_on(folder: RunFolder) -> str:
    """A clause for whoever reads why it ended."""
    command = f"{train_command()} --resume {folder.path}{folder.flags}"
    if not saved_checkpoints(folder.checkpoints):
        return f"there is no checkpoint yet, so begin again with: {command}"
    return f"go on from the last checkpoint with: {command}"
