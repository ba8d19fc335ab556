"""A run as an experiment of Weights & Biases, for those who keep their runs there: `train --wandb PROJECT`.

Nothing of it may cost the run anything once that has begun; what goes wrong is told as one warning.  Without a network
set WANDB_MODE=offline: the files are then in the run folder, for `wandb sync`.
"""

from __future__ import annotations

from typing import Any

from heliograph.extras import extra
from heliograph.optional import optional
from trainer.training.run_folder import RunFolder


class Experiment:
    """What is logged of a run, under its run id, so that a resumed one goes on with the same lines."""

    def __init__(self, folder: RunFolder, *, project: str) -> None:
        """Raises MissingExtra if the package is not installed."""
        with extra("wandb", packages={"wandb"}, purpose="--wandb"):
            import wandb
        self._wandb, self._folder, self._project = wandb, folder, project
        self._run: Any = None

    def begin(self) -> None:
        """Open the log, whose files are in the run folder."""
        folder, wandb = self._folder, self._wandb
        with optional("no log for Weights & Biases"):
            self._run = wandb.init(
                project=self._project,
                id=folder.run_id,
                name=folder.path.name,
                dir=str(folder.path),
                config=folder.settings().model_dump(mode="json"),
                resume="allow",
                settings=wandb.Settings(silent=True, console="off"),
            )

    def log(self, record: dict[str, Any]) -> None:
        """The values of an iteration that have a group in their name, by environment step."""
        run, self._run = self._run, None
        if run is None:
            return
        with optional("the log for Weights & Biases ends here"):
            run.log({name: value for name, value in record.items() if "/" in name}, step=record["env_steps"])
            self._run = run  # not after a failure: one warning is enough

    def finish(self) -> None:
        with optional("the log for Weights & Biases is not whole"):
            if self._run is not None:
                self._run.finish()
