"""Bytes that were a message before somebody damaged them, the same for the same seed."""

from __future__ import annotations

import random


def mangled(message: bytes, seed: int) -> bytes:
    """The message with a few bytes changed, cut or doubled; or bytes that were never one."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(1, 60))
    data = bytearray(message)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(1, len(data))] if rng.random() < 0.3 else data)
