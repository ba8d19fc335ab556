"""Room for the tables of a search.

The first touch of every small page of fresh memory costs about as much as all that a search writes to it.  On a CPU
NumPy's memory is used, which asks for large pages where there is much of it; torch's does not.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def room(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A table without content."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(shape, dtype=np.dtype(str(dtype).removeprefix("torch."))))


def filled(*shape: int, fill: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A table with one content."""
    return room(*shape, dtype=dtype, device=device).fill_(fill)
