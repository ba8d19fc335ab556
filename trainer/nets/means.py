"""Means of metrics that are added in parts."""

from __future__ import annotations

from collections import defaultdict

import numpy as np


class Means:
    """Collects values by name and averages them at the end of a training iteration."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, values: dict[str, float]) -> None:
        """Add one value to each of some names."""
        for name, value in values.items():
            self._values[name].append(value)

    def result(self) -> dict[str, float]:
        """The mean by name."""
        return {name: float(np.mean(values)) for name, values in self._values.items()}
