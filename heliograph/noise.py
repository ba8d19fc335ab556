"""Counter-based randomness of an agent: the same numbers in any process, in any order, on any machine.

A draw is a pure function of (run seed, slot, episode, step).  The key of a Philox-4x64 generator is
(run seed, slot) and its counter starts at (0, step, episode, 0): the lowest word counts the numbers of one
step, so no two steps, episodes or agents ever share one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_WORD = 2**64
_MANTISSA_BITS = 23


def uniform(*, run_seed: int, slot: int, episode: int, step: int, size: int) -> npt.NDArray[np.float32]:
    """Return `size` float32 numbers strictly inside (0, 1), for sampling one agent's latent and action.

    Raises ValueError for a negative argument or one of more than 64 bits.
    """
    for name, value in (("run_seed", run_seed), ("slot", slot), ("episode", episode), ("step", step)):
        if not 0 <= value < _WORD:
            raise ValueError(f"{name} must be in 0..2**64-1, not {value}")
    key = np.array([run_seed, slot], dtype=np.uint64)
    counter = np.array([0, step, episode, 0], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(size)
    # The top 23 bits at the middle of their cell: exact in float32, and neither 0 nor 1 can occur.
    cell = (raw >> np.uint64(64 - _MANTISSA_BITS)).astype(np.float32)
    return (cell + np.float32(0.5)) * np.float32(2.0**-_MANTISSA_BITS)
