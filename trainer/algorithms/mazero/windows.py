"""A batch of replay as MAZero learns from it: steps from a row on, and where the episode ends.

Axis legend: U unrolled steps, V = U + 1 rows from which something is predicted, L = U + n rows from which an action is
known (n rewards of a value target), B windows, N agents, X what an agent sees, A actions.

Step k is the action between row k and row k + 1.  Rows of replay that follow an end (absorbing ones, or the last one
repeated) are no steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.mazero.seeing import seen_in
from trainer.algorithms.mazero.settings import MazeroSettings, TargetSettings
from trainer.experience.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Steps:
    seen: Tensor
    """[L + 1, B, N, X]."""
    present: Tensor
    """bool [L + 1, B, N]: agents that are there, at rows of the episode."""
    legal: Tensor
    """bool [L + 1, B, N, A]."""
    real: Tensor
    """bool [L + 1, B]: rows of the episode, its closing observation the last of them."""
    over: Tensor
    """bool [L + 1, B]: at this row the team has no future; after it, too."""
    action: Tensor
    """int64 [L, B, N]; 0 where there is no step."""
    reward: Tensor
    """[L, B]: the team's, as it is learned; 0 where there is no step."""
    taken: Tensor
    """bool [L, B]: whether there is a step."""
    age: Tensor
    """int64 [B]: in steps."""
    weight: Tensor
    """[B]: of a window in the loss."""
    found: Mapping[str, Tensor]
    """[L, B, ...] by name: what the search that chose a step had found; see `found`."""


def steps_of(batch: Batch, settings: MazeroSettings, actions: int) -> Steps:
    """The steps of a batch with L + 1 rows, led up to by one fewer than the frames that an agent sees."""
    before, targets = settings.model.frames - 1, settings.targets
    window = batch.window
    inside = batch.inside[before:]
    ended = window.terminated[before:].all(-1) & inside
    over = ended.int().cumsum(0) > 0
    real = inside & ~torch.cat([torch.zeros_like(over[:1]), over[:-1]])
    taken = real[1:] & ~over[:-1]
    reward = team_reward(window.reward[before + 1 :], window.present[before:-1], targets)
    return Steps(
        seen=seen_in(settings.model, window, actions),
        present=window.present[before:] & real.unsqueeze(-1),
        legal=window.action_mask[before:],
        real=real,
        over=over,
        action=window.action[before + 1 :] * taken.unsqueeze(-1),
        reward=targets.reward_scale * reward * taken,
        taken=taken,
        age=batch.age,
        weight=batch.weight,
        found={name: column[before + 1 :] for name, column in window.columns.items()},
    )


def team_reward(reward: Tensor, present: Tensor, settings: TargetSettings) -> Tensor:
    """[...] of rewards [..., N] and who took part in the step, bool [..., N]; not scaled."""
    total = reward.sum(-1)
    return total / present.sum(-1).clamp(min=1) if settings.team_reward == "mean" else total
