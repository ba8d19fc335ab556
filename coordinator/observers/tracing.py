"""The coordinator's part in the traces of its run: episodes and their steps.  Imported by `observation`."""

from __future__ import annotations

import time

from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph import log
from heliograph.tracing import Spans


class RunTraces:
    """An observer of a run.  A step lasts from the end of the one before it, the first from its agent inputs, until the
    world has moved."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._episode_began_ns = self._step_began_ns = 0

    def step(self, name: str, record: StepRecord) -> None:
        now_ns = time.time_ns()
        if record.step == 0:
            self._episode_began_ns = self._step_began_ns = record.asked_ns
        self._spans.write(
            "step",
            run=log.here().run or "",
            episode=record.episode,
            step=record.step,
            began_ns=self._step_began_ns,
            ended_ns=now_ns,
            attributes={
                "step": record.step,
                "latency_ms": record.latency_s * 1e3,
                "masked": int(record.masked.sum()),
                "idle": int((record.present & ~record.acted).sum()),
            },
        )
        self._step_began_ns = now_ns

    def episode(self, name: str, result: EpisodeResult) -> None:
        self._spans.write(
            "episode",
            run=log.here().run or "",
            episode=result.episode,
            began_ns=self._episode_began_ns,
            ended_ns=time.time_ns(),
            attributes={
                "episode": result.episode,
                "links": name,
                "steps": result.steps,
                "outcome": result.outcome,
                "return": result.team_return,
            },
        )
