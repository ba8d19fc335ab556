"""What a batch of whole episodes says of the team: which steps were taken, what they earned, what the value should be.

Axis legend: L rows of an episode, B episodes, N agents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.qmix.settings import TdSettings
from trainer.experience.batch import Batch
from trainer.policy.returns import episode_returns


@dataclass(frozen=True, kw_only=True)
class TeamSteps:
    """Step k is the joint action between row k and row k + 1."""

    taken: Tensor
    """bool [L - 1, B]: whether there is a step."""
    reward: Tensor
    """[L - 1, B]: the team's, as it is learned."""
    ended: Tensor
    """bool [L - 1, B]: the step ended the future of every agent, which no time limit does."""


def team_steps(batch: Batch, settings: TdSettings) -> TeamSteps:
    """Of whole episodes.  Rows after their end, absorbing or repeated, are no steps."""
    window = batch.window
    gone = window.terminated.all(-1) & ~window.first  # [L, B]
    return TeamSteps(
        taken=batch.inside[1:] & ~gone[:-1],
        reward=settings.reward_scale * window.reward[1:].mean(-1),
        ended=gone[1:],
    )


def td_targets(steps: TeamSteps, value: Tensor, settings: TdSettings) -> Tensor:
    """[L - 1, B] of the team's values [L, B] by the target network; means nothing where no step was taken."""
    return episode_returns(
        steps.reward,
        ended=steps.ended,
        closing=~steps.taken,
        value=value,
        discount=settings.discount,
        trace=settings.trace,
    )


def td_loss(value: Tensor, target: Tensor, taken: Tensor) -> Tensor:
    """Mean squared error [] over the steps that were taken."""
    return (value - target).square()[taken].mean()


def chosen_values(values: Tensor, action: Tensor, present: Tensor) -> Tensor:
    """[..., N] of values [..., N, A] of actions [..., N]; 0 for an agent that is not `present`, bool [..., N]."""
    own = values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    return torch.where(present, own, 0.0)
