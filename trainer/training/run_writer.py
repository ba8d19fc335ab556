"""What a training writes into its run's folder while it goes on; of several ranks the first alone does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from heliograph.run_status import RunState, RunStatus
from trainer.algorithms.interfaces import Algorithm
from trainer.experience.collector import Collected
from trainer.training.horizon import Horizon, limited
from trainer.training.run_folder import RunFolder
from trainer.training.settings import EvaluationSettings
from trainer.training.snapshots import forget_snapshots_after, save_snapshot


class RunWriter:
    """Log, status and snapshots.  Each method raises CheckpointError if the disk refuses."""

    def __init__(self, folder: RunFolder, horizon: Horizon, *, writes: bool) -> None:
        """It does nothing unless it `writes`."""
        self._folder, self._horizon, self._writes = folder, horizon, writes

    def log(self, record: dict[str, Any]) -> None:
        """Of an iteration."""
        if self._writes:
            self._folder.log(record)

    def status(self, state: RunState, *, env_steps: int, detail: str = "", exit_code: int | None = None) -> None:
        """How far the run is, and where it ends."""
        if self._writes:
            status = RunStatus(state=state, env_steps=env_steps, detail=detail, exit_code=exit_code)
            self._folder.write_status(limited(status, self._horizon))

    def snapshot(
        self, algorithm: Algorithm, settings: EvaluationSettings, *, env_steps: int, evaluation: int, score: float
    ) -> None:
        """The networks at one of the evaluations, counted from 1."""
        if self._writes:
            save_snapshot(
                self._folder.snapshots,
                env_steps=env_steps,
                evaluation=evaluation,
                score=score,
                algorithm=algorithm,
                limit=settings.snapshots,
            )

    def forget_after(self, iteration: int, *, env_steps: int) -> None:
        """Drop what was logged and kept after that, which a resumed run makes again."""
        if self._writes:
            self._folder.forget_after(iteration)
            forget_snapshots_after(self._folder.snapshots, env_steps)


def iteration_record(experience: Collected, *, iteration: int, env_steps: int) -> dict[str, Any]:
    """What is logged of the experience of an iteration; of several ranks, of the episodes of the first."""
    record: dict[str, Any] = {"iteration": iteration, "env_steps": env_steps}
    ended: dict[str, Sequence[float]] = {
        "outcome": experience.outcome,
        "return": experience.team_return,
        "length": experience.length,
    }
    record |= {f"collect/{name}": float(np.mean(values)) for name, values in ended.items() if values}
    if experience.lost_episodes:
        record["collect/lost_episodes"] = experience.lost_episodes
    return record
