"""What MAZero's model says of single steps that were taken, beside what they earned.

Axis legend: T rows of a window, S = T - 1 transitions, B windows, N agents, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainer.algorithms.held_out import Predicted
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.seeing import seen_in
from trainer.algorithms.mazero.settings import MazeroSettings
from trainer.algorithms.mazero.windows import team_reward
from trainer.experience.window import Window


@torch.no_grad()
def predicted(model: MazeroModel, window: Window, settings: MazeroSettings, *, actions: int) -> Predicted | None:
    """The team's reward of every step from a row whose frames the window has; None if it has none such.

    There is no continuation: the model knows of an end by values and rewards of 0.
    """
    before = settings.model.frames - 1
    if len(window.first) < before + 2:
        return None
    seen = seen_in(settings.model, window, actions)[:-1]  # [S - F + 1, B, N, X]
    done = window.action[before + 1 :]
    step = model.advance(model.represent(seen.flatten(0, 1)), done.flatten(0, 1))
    reward = model.reward_support.decode(step.reward).unflatten(0, seen.shape[:2]) / settings.targets.reward_scale
    return Predicted(
        reward=functional.pad(reward, (0, 0, before, 0)).unsqueeze(-1),
        earned=team_reward(window.reward[1:], window.present[:-1], settings.targets).unsqueeze(-1),
        continuation=None,
        ended=window.terminated[1:].all(-1, keepdim=True),
        known=_frames_known(window.first, before),
    )


def _frames_known(first: Tensor, before: int) -> Tensor:
    """bool [S, B]: which rows but the last have so many rows of their episode before them in the window."""
    if not before:
        return torch.ones_like(first[1:])
    since = torch.zeros_like(first[0], dtype=torch.int64)
    known = []
    for row in first[:-1]:
        known.append((since >= before) & ~row)
        since = torch.where(row, 1, since + 1)
    return torch.stack(known)
