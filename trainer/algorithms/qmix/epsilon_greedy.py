"""Actions by their values: the best one, and now and then any.

Axis legend: A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.nets.latent import sample_ids
from trainer.policy.distributions import ILLEGAL_LOGIT, Categorical


@dataclass(frozen=True)
class EpsilonGreedy(Categorical):
    """One of `count` actions; outputs are values [..., A].  Its mode is the action of the highest value."""

    epsilon: float = 0.0
    """Probability that an action is drawn uniformly from the legal ones, the best one included."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """[..., A]."""
        legal = (outputs > ILLEGAL_LOGIT / 2).to(outputs.dtype)
        best = functional.one_hot(self.mode(outputs), self.count).to(outputs.dtype)
        return (1 - self.epsilon) * best + self.epsilon * legal / legal.sum(-1, keepdim=True)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        return sample_ids(self.probabilities(outputs), uniform.squeeze(-1))

    def log_probability(self, outputs: Tensor, action: Tensor) -> Tensor:
        return torch.log(self.probabilities(outputs)).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        entropy: Tensor = torch.special.entr(self.probabilities(outputs)).sum(-1)
        return entropy
