"""How a run that ended amid its work goes on: from what, and with which command."""

from __future__ import annotations

from heliograph.errors import SettingsError
from trainer.ranks.launched import train_command
from trainer.training.checkpoint import saved_checkpoints
from trainer.training.run_folder import RunFolder


def way_on(folder: RunFolder) -> str:
    """A clause for whoever reads why it ended."""
    try:
        flags, saved = folder.flags, saved_checkpoints(folder.checkpoints)
    except (OSError, SettingsError) as error:  # what ended the training may be that its folder is gone
        return f"nothing can go on from it as it is: {error}"
    command = f"{train_command()} --resume {folder.path}{flags}"
    if not saved:
        return f"there is no checkpoint yet, so begin again with: {command}"
    return f"go on from the last checkpoint with: {command}"
