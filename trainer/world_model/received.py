"""What every agent of a team holds of the others' messages, where some are lost or late.

Axis legend: M joint rows, N agents, K categoricals, L newest messages that are kept, T time, B windows; of [N, N],
entry [i, j] is what i holds of j.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.nets.joint_rows import JointRows


@dataclass(frozen=True, kw_only=True)
class Received(JointRows):
    """Messages as they are read, and the newest ones, some of which are still on their way."""

    ids: Tensor
    """int64 [M, N, N, K]."""
    action: Tensor
    """[M, N, N, ...]."""
    recent_ids: Tensor
    """int64 [M, L, N, K], the newest first."""
    recent_action: Tensor
    """[M, L, N, ...]."""
    age: Tensor | None = None
    """int64 [M, N, N] of what is held; None before anything was heard."""

    @classmethod
    def nothing(cls, ids: Tensor, action: Tensor, *, longest: int) -> Received:
        """At the beginning of episodes, for messages like `ids` [M, N, K] and `action` [M, N, ...], the latest of which
        come `longest` steps late."""
        agents = ids.shape[1]
        return cls(
            ids=_per_reader(torch.zeros_like(ids), agents),
            action=_per_reader(torch.zeros_like(action), agents),
            recent_ids=torch.zeros_like(ids).unsqueeze(1).repeat(1, longest + 1, 1, 1),
            recent_action=torch.zeros_like(action).unsqueeze(1).expand(-1, longest + 1, *action.shape[1:]).clone(),
        )

    def after(self, ids: Tensor, action: Tensor, age: Tensor, own: Tensor | None = None) -> Received:
        """One step later: everyone has said `ids` [M, N, K] and done `action` [M, N, ...]; what is held then has the
        ages [M, N, N].  `own` [M, N, K] is what each holds of itself, if it says less than that."""
        recent_ids = torch.cat([ids.unsqueeze(1), self.recent_ids[:, :-1]], dim=1)
        recent_action = torch.cat([action.unsqueeze(1), self.recent_action[:, :-1]], dim=1)
        newer = (age >= 0) & (age < recent_ids.shape[1])
        place = age.clamp(0, recent_ids.shape[1] - 1)
        held = torch.where(newer.unsqueeze(-1), _picked(recent_ids, place), self.ids)
        if own is not None:
            diagonal = torch.eye(ids.shape[1], dtype=torch.bool, device=ids.device).unsqueeze(-1)
            held = torch.where(diagonal, own.unsqueeze(1), held)
        return Received(
            ids=held,
            action=torch.where(
                newer.reshape(*newer.shape, *[1] * (action.dim() - 2)), _picked(recent_action, place), self.action
            ),
            recent_ids=recent_ids,
            recent_action=recent_action,
            age=age,
        )


def _per_reader(values: Tensor, agents: int) -> Tensor:
    """[M, N, ...] -> [M, N, N, ...]."""
    return values.unsqueeze(1).expand(-1, agents, *values.shape[1:]).clone()


def _picked(recent: Tensor, place: Tensor) -> Tensor:
    """Of recent messages [M, L, N, ...] those at places [M, N, N] in their order: [M, N, N, ...]."""
    rows = torch.arange(recent.shape[0], device=recent.device)[:, None, None]
    senders = torch.arange(recent.shape[2], device=recent.device)[None, None]
    return recent[rows, place, senders]


def readable(hears: Tensor | None, age: Tensor) -> Tensor:
    """Whose messages are there to be read, bool [..., N, N]: those in `hears` (None: all) of whom some has come."""
    there = age >= 0
    return there if hears is None else there & hears
