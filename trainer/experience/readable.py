"""Whose messages can be read: the world's graph, without agents that had no part in the step before.

The runtime has no messages of an agent whose part of the episode is over, so training and evaluation have none either.

Axis legend: E copies, N agents.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.environments.vector import AgentInputs, EnvironmentSpec


def receivable(agent_inputs: AgentInputs, *, spoke: npt.NDArray[Any]) -> AgentInputs:
    """The agent inputs with nobody hearing agents outside of `spoke`, bool [E, N]: who took part in the step before.

    At a first step that is whoever is present, with the zero vector as message.
    """
    return replace(agent_inputs, hears=agent_inputs.hears & spoke[:, None])


def neighbour_tensor(hears: npt.NDArray[Any], spec: EnvironmentSpec, *, device: torch.device) -> Tensor | None:
    """`AgentInputs.hears` for an algorithm: bool [E, N, N], or None where everyone hears everyone."""
    if spec.complete_graph and is_complete(hears):
        return None
    return torch.from_numpy(np.ascontiguousarray(hears)).to(device)


def is_complete(hears: npt.NDArray[Any]) -> bool:
    """Whether the graphs [..., N, N] are complete."""
    return bool((hears | _oneself(hears.shape[-1])).all())


@lru_cache
def _oneself(agents: int) -> npt.NDArray[Any]:
    return np.eye(agents, dtype=bool)
