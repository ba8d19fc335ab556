"""Which world an episode gets: every process and every way of running a team draws the same one."""

from __future__ import annotations

import hashlib
import struct

import numpy as np


def episode_seed(*, run_seed: int, episode: int) -> int:
    """Return the environment's seed, 0..2**63-1, for an episode of a run: a pure function of the two numbers.

    Raises ValueError for a negative argument or one of more than 64 bits.
    """
    for name, value in (("run_seed", run_seed), ("episode", episode)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be in 0..2**64-1, not {value}")
    digest = hashlib.sha256(b"heliograph episode" + struct.pack("<QQ", run_seed, episode)).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def short_seed(seed: int) -> int:
    """The seed for a simulator that takes no more than 32 bits: longer ones are hashed, so that they stay apart."""
    return seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])
