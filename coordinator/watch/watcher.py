"""What the run's side of `--watch` does: keeps what happened, bounded, until the server's side takes it.

With no page open a step costs one comparison, an episode an entry in a list.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.watch.gate import Gate
from coordinator.world.trajectory import EpisodeResult, StepRecord
from coordinator.world.world import World
from heliograph.environments.pictures import picture_of
from heliograph.errors import HeliographError

logger = logging.getLogger(__name__)

KEPT_STEPS = 512
"""Steps that may wait for the server's side; of more the oldest are forgotten."""

KEPT_OUTCOMES = 2000
FRAME_INTERVAL_S = 0.2
DRAWING_SHARE = 0.05
"""Of the run's time, at most, goes into drawing the world; single steps are always drawn."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished episode."""

    pass_name: str
    episode: int
    outcome: float
    team_return: float
    steps: int


class Watcher:
    """An observer of a run.  `pages` is how many pages are open, set by the server's side, which also empties the
    queues.

    Appending to and popping from a deque are safe between threads.
    """

    def __init__(self, gate: Gate) -> None:
        self.pages = 0
        self.pass_name = ""
        self.steps: deque[StepRecord] = deque(maxlen=KEPT_STEPS)
        self.frames: deque[npt.NDArray[np.uint8]] = deque(maxlen=1)
        self.outcomes: deque[Outcome] = deque(maxlen=KEPT_OUTCOMES)
        self.episodes = 0
        """How many have ended, also those that `outcomes` has forgotten."""
        self._world: World | None = None
        self._gate = gate
        self._draw_at = 0.0

    def begin(self, name: str, world: World) -> None:
        """A pass begins in this world."""
        self.pass_name = name
        self._world = world if world.spec.renders else None

    def step(self, _name: str, record: StepRecord) -> None:
        if self.pages:
            self.steps.append(record)
            now = time.perf_counter()
            if self._world is not None and (now >= self._draw_at or self._gate.closed):
                self._draw(self._world, now)

    def episode(self, name: str, result: EpisodeResult) -> None:
        self.outcomes.append(
            Outcome(
                pass_name=name,
                episode=result.episode,
                outcome=result.outcome,
                team_return=result.team_return,
                steps=result.steps,
            )
        )
        self.episodes += 1

    def _draw(self, world: World, started: float) -> None:
        try:
            self.frames.append(picture_of(world.environment))
        except HeliographError as error:
            logger.warning("the world cannot be drawn error=%s", error)
            self._world = None
            return
        seconds = time.perf_counter() - started
        self._draw_at = started + max(FRAME_INTERVAL_S, seconds / DRAWING_SHARE)
