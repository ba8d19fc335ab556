"""A step of two agents, of which the first missed what the second said, and the second did not answer."""

from __future__ import annotations

import numpy as np

from coordinator.world.trajectory import StepRecord

LATENCY_S = 0.25


def step_record(step: int, *, episode: int = 3, asked_ns: int = 0) -> StepRecord:
    nobody = np.zeros((2, 2), dtype=bool)
    missed = nobody.copy()
    missed[0, 1] = True
    return StepRecord(
        episode=episode,
        step=step,
        present=np.ones(2, dtype=bool),
        observation=np.zeros((2, 1), dtype=np.float32),
        action_mask=np.ones((2, 2), dtype=bool),
        hears=~np.eye(2, dtype=bool),
        masked=missed,
        lost=nobody,
        delay=missed.astype(np.int64).T,
        acted=np.array([True, False]),
        action=np.zeros(2, dtype=np.int64),
        reward=np.zeros(2, dtype=np.float32),
        latent=None,
        state=None,
        asked_ns=asked_ns,
        latency_s=LATENCY_S,
        waited_s=np.zeros(2),
    )
