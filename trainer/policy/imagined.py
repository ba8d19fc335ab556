"""What actor and critic learn from in imagination, whatever world model has imagined it.

Axis legend: S imagined states (transitions + 1), M joint states, N agents, A entries of an action mask, P outputs of an
actor.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Features = tuple[Tensor, ...]
"""What networks read of a state, in the order of their arguments: [..., N, X] each, or class ids [..., N, K]."""


@dataclass(frozen=True, kw_only=True)
class ImaginedRollout:
    """Imagined trajectories.  State s and action s lead to reward s and state s + 1."""

    features: Features
    """[S, M, N, ...] each: what actor and critic read."""
    action: Tensor
    """[S-1, M, N, ...]."""
    logits: Tensor
    """[S-1, M, N, P] of the acting policy, without what is not available."""
    available: Tensor | None
    """bool [S-1, M, N, A], None without action masks."""
    reward: Tensor
    """[S-1, M, N] per agent."""
    continuation: Tensor
    """[S-1, M, N] probability that the agent's future goes on."""
