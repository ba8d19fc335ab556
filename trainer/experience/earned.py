"""What was done in a window of experience, and what it earned: for learning from experience as it is.

Axis legend: T rows of a window, E copies, N agents.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from trainer.experience.window import Window
from trainer.policy.returns import episode_returns


def acted(window: Window) -> Tensor:
    """bool [T - 1, E, N]: whose action at a row led to the next one, which neither closing nor absorbing rows have."""
    gone = window.terminated.all(-1) & ~window.first  # [T, E]
    return window.present[:-1] & ~(window.first[1:] | gone[:-1]).unsqueeze(-1)


def returns_of(
    window: Window, values: Tensor, *, discount: float, trace: float, sharing: Literal["team", "individual"]
) -> Tensor:
    """Lambda-returns [T - 1, E, N] of what was done at each row but the last, for values [T, E, N].

    Where an episode was cut by its time limit, or the window ends, the value of the row that closes it stands for what
    would have followed; where an agent terminated, nothing does.
    """
    reward, ended = window.reward[1:], window.terminated[1:]
    if sharing == "team":
        reward = reward.mean(-1, keepdim=True).expand_as(reward)
        ended = ended.all(-1, keepdim=True).expand_as(ended)
    return episode_returns(
        reward,
        ended=ended,
        closing=window.first[1:].unsqueeze(-1),
        value=values,
        discount=discount,
        trace=trace,
    )
