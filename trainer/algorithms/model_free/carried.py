"""What a team carries from step to step, as one vector per agent: the column that PPO begins its sequences from.

Axis legend: N agents, C numbers that one agent carries.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from trainer.policy.acting import carried_tensors

CARRIED = "carried"
"""The column's name."""
StateT = TypeVar("StateT")


def packed(state: Any) -> Tensor:
    """The fields [..., N, ...] of an acting state [E, N, ...] side by side, float32 [E, N, C].

    Class ids and actions are small enough to be exact.
    """
    tensors = carried_tensors(state).values()
    return torch.cat([tensor.flatten(2) if tensor.dim() > 2 else tensor.unsqueeze(2) for tensor in tensors], dim=-1)


def unpacked(like: StateT, carried: Tensor) -> StateT:
    """Acting states [..., N, ...] from [..., N, C]; of fields as those of `like` are."""
    tensors = carried_tensors(like)
    parts = carried.split([tensor[0, 0].numel() for tensor in tensors.values()], dim=-1)
    return type(like)(
        **{
            name: part.reshape(*carried.shape[:-1], *tensor.shape[2:]).to(tensor.dtype)
            for (name, tensor), part in zip(tensors.items(), parts, strict=True)
        }
    )
