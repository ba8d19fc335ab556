"""Segments: what the world model learns from, a step with its observation, the action taken there and what that led to.

Axis legend: T rows of a replay window, L steps of a segment (T - 1), B segments, N agents, D observation, A entries of
an action mask.

A row of replay holds the action that led to it, a step the action that followed it; so a window of T rows has T - 1
steps.  The last observation of an episode is followed by no action.  It stays as what the step before led to, and where
all agents have terminated not even as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from trainer.experience.window import Window


@dataclass(frozen=True, kw_only=True)
class Segments:
    observation: Tensor
    """float [B, L, N, D]."""
    action: Tensor
    """int64 [B, L, N], or float [B, L, N, k]: what was done then; anything where nobody acted."""
    acted: Tensor
    """bool [B, L]: an action followed."""
    reward: Tensor
    """float [B, L, N]: what the action earned."""
    done: Tensor
    """bool [B, L, N]: the action ended the agent's future, or that had ended before."""
    cut: Tensor
    """bool [B, L]: nothing of what comes next belongs to this episode."""
    next_available: Tensor
    """bool [B, L, N, A]: actions that are legal at the next step."""
    followed: Tensor
    """bool [B, L]: it is known which these are."""

    @property
    def continued(self) -> Tensor:
        """bool [B, L]: the step belongs to the episode of the one before."""
        return torch.cat([torch.zeros_like(self.cut[:, :1]), ~self.cut[:, :-1]], dim=1)

    def parts(self, size: int) -> Iterator[Segments]:
        """All of them in order, at most `size` at a time."""
        columns = {field.name: getattr(self, field.name).split(size) for field in fields(self)}
        for place in range(len(columns["cut"])):
            yield Segments(**{name: split[place] for name, split in columns.items()})


def segments_of(window: Window) -> Segments:
    """The steps of replay windows, which may cross episodes and end in absorbing rows."""
    first = window.first[1:]
    over = window.terminated.all(-1) & ~window.first  # [T, B]: the last observation of all, or an absorbing row
    acted = ~first & ~over[:-1]
    return Segments(
        observation=window.observation[:-1].transpose(0, 1),
        action=window.action[1:].transpose(0, 1),
        acted=acted.transpose(0, 1),
        reward=window.reward[1:].transpose(0, 1),
        done=window.terminated[1:].transpose(0, 1),
        cut=(first | over[1:] | over[:-1]).transpose(0, 1),
        next_available=window.action_mask[1:].transpose(0, 1),
        followed=acted.transpose(0, 1),
    )
