"""A batch of replay windows, the training data of a world model.

Axis legend: T time, B windows, N agents, D observation, A entries of an action mask, S global state, C numbers
that an agent carries.

Row t holds the observation of one step and the action that led to it, so the closing observation of an episode
has a row of its own and every action has its result.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    state: Tensor | None = None
    """float [T, B, S]: the simulator's global state, zeros in absorbing rows; None where replay keeps none."""
    carried: Tensor | None = None
    """float [T, B, N, C]: what the agents carried into row t (`recurrent_columns`), of no meaning in first and
    absorbing rows; None where replay keeps none."""

    def to(self, device: object) -> Window:
        moved = {name: None if value is None else value.to(device) for name, value in vars(self).items()}
        return Window(**moved)
