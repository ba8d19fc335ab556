"""What turns vectors into discrete codes: the seam between a tokenizer and its three kinds of codes.

Axis legend: C codes, d numbers in a code, V vectors; [...] any leading axes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Discretiser(nn.Module, ABC):
    """`nearest(bounded(vectors))` are ids, `codes[ids]` what they stand for; the same arithmetic runs in bundles."""

    def __init__(self, codes: Tensor) -> None:
        """`codes` [C, d] goes into checkpoints, so that weights made for others do not fit."""
        super().__init__()
        self.register_buffer("codes", codes)
        self.codes: Tensor

    @property
    def classes(self) -> int:
        """C."""
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        """d."""
        return self.codes.shape[1]

    def bounded(self, vectors: Tensor) -> Tensor:
        """Vectors [..., d] brought to where codes lie; differentiable."""
        return vectors

    @abstractmethod
    def nearest(self, vectors: Tensor) -> Tensor:
        """The ids, int64 [...], of the codes nearest to bounded vectors [..., d]."""


class FixedCodes(Discretiser):
    """Codes that nobody learns: weights learned with others of as many are refused, too."""

    # Seven parameters: torch's own, in its order.
    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        others = state_dict.get(f"{prefix}codes")
        if isinstance(others, Tensor) and others.shape == self.codes.shape:
            ours = self.codes.to(others)
            if not torch.allclose(ours, others):
                error_msgs.append(f"{prefix}codes are of other levels or of another range than the settings say")
                return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
