"""Settings of the toy."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from heliograph.settings import Settings


class RegressionSettings(Settings):
    updates: PositiveInt = 4
    """Per iteration."""
    learning_rate: PositiveFloat = 0.05
    temperature: PositiveFloat = 1.0
    """An action counts for exp(reward / temperature)."""
