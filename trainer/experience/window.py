"""A batch of replay windows, the training data of a world model.

Axis legend: T time, B windows, N agents, D observation, A entries of an action mask.

Row t holds the observation of one step and the action that led to it, so the closing observation of an episode
has a row of its own and every action has its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Window:
    observation: Tensor
    """float [T, B, N, D]."""
    action_mask: Tensor
    """bool [T, B, N, A]: actions that are legal at row t, or dimensions that the agent has."""
    hears: Tensor | None
    """bool [T, B, N, N]: whose messages of row t - 1 agent i may read at row t; None on a complete graph."""
    present: Tensor
    """bool [T, B, N]: false where the observation is a placeholder (absorbing state)."""
    first: Tensor
    """bool [T, B]: first row of an episode; its action, reward and end belong to nobody."""
    action: Tensor
    """int64 [T, B, N], or float [T, B, N, k]: the executed action between row t - 1 and row t."""
    reward: Tensor
    """float [T, B, N]: what that action earned."""
    terminated: Tensor
    """bool [T, B, N]: that action ended the agent's future (never set by a time limit)."""
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    """[T, B, ...] by name: what the algorithm has declared; in first and absorbing rows only the simulator's state
    means anything, and there it is zeros in absorbing ones."""

    def to(self, device: torch.device) -> Window:
        """The same on a device."""
        return self.each(lambda tensor: tensor.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Window:
        """The same of every tensor."""
        return Window(
            observation=change(self.observation),
            action_mask=change(self.action_mask),
            hears=None if self.hears is None else change(self.hears),
            present=change(self.present),
            first=change(self.first),
            action=change(self.action),
            reward=change(self.reward),
            terminated=change(self.terminated),
            columns={name: change(value) for name, value in self.columns.items()},
        )
