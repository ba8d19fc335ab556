"""What the ids of a latent stand for, where they are numbers of a policy that talks in real vectors.

Part of a bundle's manifest.  Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.checks import check_finite


@dataclass(frozen=True, kw_only=True)
class MessageValues:
    """Id i of C classes stands for `low + (i + 1/2) * (high - low) / C`, the middle of the i-th of C equal cells.

    What an agent would send below or above goes into the first or last cell.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        check_finite("message_values", (self.low, self.high))
        if not self.low < self.high:
            raise ValueError(f"message_values are from {self.low} to {self.high}, which is no range")

    def cell(self, classes: int) -> float:
        """The width of a cell."""
        return (self.high - self.low) / classes
