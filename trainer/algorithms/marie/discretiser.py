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
        """One sentence in place of a line for each tensor that does not fit."""
        others = state_dict.get(f"{prefix}codes")
        problem = None if others is None else self._unlike(others)
        if problem is not None:
            error_msgs.append(problem)
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _unlike(self, others: Tensor) -> str | None:
        """Why codes of a checkpoint cannot be taken over; None if they can."""
        if others.shape == self.codes.shape:
            return None
        shapes = [f"{' codes of '.join(map(str, codes.shape))} numbers" for codes in (others, self.codes)]
        return f"it has a tokenizer of {shapes[0]}, where the settings say {shapes[1]}"


class FixedCodes(Discretiser):
    """Codes that nobody learns: weights learned with others of as many are refused, too."""

    def _unlike(self, others: Tensor) -> str | None:
        problem = super()._unlike(others)
        if problem is None and not torch.allclose(self.codes.to(others), others):
            return "its tokenizer has other levels, or bins of another range, than the settings say"
        return problem
