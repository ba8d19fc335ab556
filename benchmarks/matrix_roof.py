"""How fast matrices are multiplied here and now: what a benchmark's seconds are held against on another machine."""

from __future__ import annotations

from collections.abc import Callable


def matrix_roof_gflops(clock: Callable[[], float], *, repeats: int) -> float:
    """Best of several products of 1536 x 1536 float32 matrices, in GFLOP per second of `clock`."""
    import torch

    size = 1536
    left, right = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        began = clock()
        left @ right
        best = min(best, clock() - began)
    return 2 * size**3 / best / 1e9
