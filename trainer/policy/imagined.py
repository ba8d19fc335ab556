"""What actor and critic learn from in imagination, whatever world model has imagined it.

Axis legend: S imagined states (transitions + 1), M joint states, N agents, A entries of an action mask, P outputs of an
actor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
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


def joined(parts: Sequence[ImaginedRollout]) -> ImaginedRollout:
    """Rollouts of as many states, one beside the other."""
    masks = [part.available for part in parts if part.available is not None]
    return ImaginedRollout(
        features=tuple(torch.cat(each, dim=1) for each in zip(*(part.features for part in parts), strict=True)),
        action=torch.cat([part.action for part in parts], dim=1),
        logits=torch.cat([part.logits for part in parts], dim=1),
        available=torch.cat(masks, dim=1) if masks else None,
        reward=torch.cat([part.reward for part in parts], dim=1),
        continuation=torch.cat([part.continuation for part in parts], dim=1),
    )
