"""What a search asks of a model, and where it starts.

Axis legend: R roots, N agents, A actions of one agent.  A hidden state has any shape [...] of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Root:
    """Joint states to plan from, as many as there are; each is searched as if it were alone."""

    hidden: Tensor  # [R, ...]
    value: Tensor  # [R], the model's own prediction
    logits: Tensor  # [R, N, A] of the agents' policies
    legal: Tensor  # bool [R, N, A]


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """What the model says of a step: the state that it leads to, and that state's value and policies."""

    hidden: Tensor  # [R, ...]
    reward: Tensor  # [R], of the step
    value: Tensor  # [R]
    logits: Tensor  # [R, N, A]


class Model(Protocol):
    """A deterministic model of the team: MuZero's dynamics and prediction in one call."""

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        """One step of R joint states [R, ...] under joint actions int64 [R, N]."""
        ...
