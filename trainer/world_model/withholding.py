"""Who sends its message, where an agent withholds what is much as the last one that it sent (`heliograph.sending`).

Sender and receivers go by the same prediction: that a latent stays as it was.  What is as predicted need not be sent.

Axis legend: M joint rows, N agents, K categoricals, T time, B windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.experience.channel_settings import ChannelSettings
from trainer.nets.joint_rows import JointRows

NEVER = 2**31
"""Steps since the last message of an agent that has sent none."""


@dataclass(frozen=True, kw_only=True)
class LastSent(JointRows):
    """Of every agent its last message."""

    ids: Tensor
    """int64 [M, N, K]."""
    steps: Tensor
    """int64 [M, N]: how long ago it was made, in steps, `NEVER` if there is none in this episode."""

    @classmethod
    def nothing(cls, ids: Tensor) -> LastSent:
        """For messages like `ids` [M, N, K]."""
        return cls(ids=torch.zeros_like(ids), steps=torch.full_like(ids[..., 0], NEVER))

    def after(self, ids: Tensor, channel: ChannelSettings, *, first: Tensor | None = None) -> tuple[LastSent, Tensor]:
        """What is last sent once everyone has chosen `ids` [M, N, K], and who sent them, bool [M, N].

        `first` bool [M] marks the first steps of episodes, at which everyone sends.
        """
        steps = self.steps + 1
        changes = (ids != self.ids).sum(-1)
        sent = (steps >= channel.heartbeat) | (changes > channel.changes)
        if first is not None:
            sent = sent | first.unsqueeze(-1)
        kept = LastSent(
            ids=torch.where(sent.unsqueeze(-1), ids, self.ids), steps=torch.where(sent, 0, steps.clamp(max=NEVER))
        )
        return kept, sent


def ages_of(last: LastSent) -> Tensor:
    """int64 [M, N, N] of what is held at the next step if nothing else is lost."""
    agents = last.steps.shape[-1]
    own = torch.eye(agents, dtype=torch.bool, device=last.steps.device)
    return torch.where(own, 0, last.steps.unsqueeze(-2).expand(-1, agents, -1))


def last_sent_in(ids: Tensor, sent: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
    """The fields of `LastSent` [T, B, ...] just before each row of a window, from ids [T, B, N, K].

    `sent` bool [T, B, N] tells at each row who sent the message of the row before, `begun` int64 [T, B] the row at
    which the row's episode, or the window, began.
    """
    rows = torch.arange(len(ids), device=ids.device)[:, None, None]
    said = torch.where(sent & (rows > begun.unsqueeze(-1)), rows - 1, -1).cummax(0).values  # [T, B, N]
    there = said >= begun.unsqueeze(-1)
    batch = torch.arange(ids.shape[1], device=ids.device)[None, :, None]
    agents = torch.arange(ids.shape[2], device=ids.device)[None, None]
    return ids[said.clamp(min=0), batch, agents], torch.where(there, rows - 1 - said, NEVER)
