"""How many of a node's returns at one distance OS(lambda) keeps (MAZero eq. 6)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor


def kept_counts(most: int, quantile: float, rounding: Literal["exact", "float32"]) -> Tensor:
    """For 0..`most` returns the number kept, int64 [most + 1]: the largest share of 1 - quantile, one at least.

    Exact takes the quantile as it is written in decimals, so that 0.9 keeps 1 of 10; in float32, as the released code
    has it, 1 - 0.9 is a little more than 0.1, and 2 are kept.
    """
    if rounding == "exact":
        share = 1 - Fraction(repr(quantile))
        kept = [math.ceil(count * share) for count in range(most + 1)]
    else:
        products = np.arange(most + 1, dtype=np.float32) * (np.float32(1) - np.float32(quantile))
        kept = np.ceil(products).astype(np.int64).tolist()
    return torch.tensor(kept, dtype=torch.int64).clamp_(min=1)
