"""Dataclasses of tensors that are picked, repeated and moved row by row.

Axis legend: M rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Self

from torch import Tensor


class JointRows:
    """Base of dataclasses whose fields are tensors with M as their first axis, such dataclasses, or None."""

    def rows(self, index: Tensor) -> Self:
        """Some of them, int64 [...]."""
        return self.each(lambda tensor: tensor[index])

    def copies(self, count: int) -> Self:
        """All of them `count` times over: copy c of row m is row c * M + m."""
        return self.each(lambda tensor: tensor.expand(count, *tensor.shape).flatten(0, 1))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same of every tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # a dataclass, which no bound can say
        return type(self)(**{name: _changed(value, change) for name, value in values.items()})


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if value is None:
        return None
    return value.each(change) if isinstance(value, JointRows) else change(value)
