"""Compares with recorded numbers and counts how many, so that a golden test cannot come to compare less unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}
WIDE = 1e-5
"""Of logits a thousand wide, which were recorded in float32."""


_NOTED: list[str] = []


def note(name: str) -> None:
    """A recorded number, or an array of them, has been compared."""
    _NOTED.append(name)


def counted(at_least: Mapping[str, int]) -> Callable[..., Iterator[None]]:
    """A fixture for every test of a module: by its name, how many comparisons it has to come to."""

    @pytest.fixture(autouse=True)
    def comparisons_are_counted(request: pytest.FixtureRequest) -> Iterator[None]:
        _NOTED.clear()
        yield
        wanted = at_least[request.function.__name__]
        assert len(_NOTED) >= wanted, f"{len(_NOTED)} comparisons, not {wanted}: {_NOTED}"

    return comparisons_are_counted


class Comparisons:
    """With the arrays and scalars of one recorded set."""

    def __init__(self, outputs: Mapping[str, np.ndarray], scalars: Mapping[str, float]) -> None:
        self._outputs, self._scalars = outputs, scalars

    def arrays(self, ours: Tensor, name: str, *, of: Any = ..., wide: bool = False) -> None:
        """`ours` equals the part `of` the recorded array, value by value."""
        tolerance = WIDE if wide else TOLERANCES[ours.dtype]
        expected = self._outputs[name][of].reshape(ours.shape)
        np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance, err_msg=name)
        note(name)

    def scalar(self, ours: Tensor | float, name: str, *, tolerance: float = TOLERANCES[torch.float64]) -> None:
        assert float(ours) == pytest.approx(self._scalars[name], rel=tolerance, abs=tolerance), name
        note(name)
