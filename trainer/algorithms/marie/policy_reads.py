"""What actor and critic read: the newest reconstructions of an agent's observations, and what else the settings say.

Axis legend: N agents, H stacked observations, D observation, F numbers that the policy reads; [...] any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.policy.distributions import ActionDistribution


@dataclass(frozen=True, kw_only=True)
class PolicyReads:
    stack: int
    """H."""
    observation_size: int
    """D."""
    agents: int
    """N."""
    actions: ActionDistribution
    agent: bool
    """Which agent it is."""
    last_action: bool
    """What it did last; zeros at an episode's first step."""
    observations: bool = False
    """What was observed is read as it is, not as it is made again of its tokens."""

    def seen(
        self, tokenizer: Tokenizer, observation: Tensor, ids: Tensor | None = None, *, imagined: bool = False
    ) -> Tensor:
        """What stands in the stack for observations [..., D], on the scale of the tokenizer; `imagined` as there.

        `ids` [..., K] are their tokens, where these are known.
        """
        if self.observations:
            return tokenizer.on_scale(observation)
        return tokenizer.decode(tokenizer.encode(observation) if ids is None else ids, imagined=imagined)

    @property
    def size(self) -> int:
        """F."""
        others = self.agents * self.agent + self.actions.features * self.last_action
        return self.stack * self.observation_size + others

    def features(self, stack: Tensor, *, action: Tensor, first: Tensor | None) -> Tensor:
        """[..., N, F] of reconstructions [..., N, H, D], oldest first, the actions [..., N, ...] that led there,
        and where there was none, bool [...] (None: nowhere)."""
        parts = [stack.flatten(-2)]
        if self.agent:
            identity = torch.eye(self.agents, dtype=stack.dtype, device=stack.device)
            parts.append(identity.expand(*stack.shape[:-3], self.agents, self.agents))
        if self.last_action:
            read = self.actions.read(action).to(stack.dtype)
            parts.append(read if first is None else read * (~first)[..., None, None].to(stack.dtype))
        return torch.cat(parts, dim=-1)
