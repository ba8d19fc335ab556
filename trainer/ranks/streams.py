"""Random numbers of each rank's own, of which the first has those of a training alone."""

from __future__ import annotations

import numpy as np


def stream_of(seed: int, purpose: int, *, rank: int) -> list[int]:
    """Entropy for numpy's generators: of a run's seed, for a purpose, on a rank."""
    return [seed, purpose, rank] if rank else [seed, purpose]


def drawn_seed(seed: int, purpose: int, *, rank: int) -> int:
    """The same as one number of 64 bits, for torch's generators."""
    return int(np.random.SeedSequence(stream_of(seed, purpose, rank=rank)).generate_state(1, np.uint64)[0])
