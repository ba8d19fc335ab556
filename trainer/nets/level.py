"""Networks that read one level of a feature that holds several.  Only the trainer may import it.

Axis legend: K categoricals and G recurrent numbers of one level.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

AGENT, GLOBAL = 0, 1


class Level(nn.Module):
    """`network` sees the latent and recurrent state of one level, features [..., L K] and [..., L G] hold all."""

    def __init__(self, network: nn.Module, *, level: int, categoricals: int, recurrent: int) -> None:
        super().__init__()
        self.network = network
        self._latent = slice(level * categoricals, (level + 1) * categoricals)
        self._recurrent = slice(level * recurrent, (level + 1) * recurrent)

    def forward(self, ids: Tensor, deter: Tensor, probabilities: Tensor | None = None) -> Any:
        """What the network makes of its level; `probabilities` [..., L K, C] only where it takes them."""
        level = (ids[..., self._latent], deter[..., self._recurrent])
        return (
            self.network(*level) if probabilities is None else self.network(*level, probabilities[..., self._latent, :])
        )


class SeeingLevel(Level):
    """Of a network that reads what is observed, too, which has no levels."""

    def forward(self, ids: Tensor, deter: Tensor, seen: Tensor) -> Any:  # type: ignore[override]  # no probabilities
        """What the network makes of its level and of `seen` [..., D]."""
        return self.network(ids[..., self._latent], deter[..., self._recurrent], seen)
