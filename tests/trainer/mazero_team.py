"""A small, untrained MAZero whose heads say something."""

from __future__ import annotations

from typing import Any

import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.settings import MazeroSettings

SPEC = EnvironmentSpec(
    id="made-up",
    agents=3,
    observation_size=5,
    actions=4,
    episode_limit=9,
    complete_graph=True,
    outcome="won",
    has_action_mask=True,
)
SEEING = {"frames": 3, "last_action": True, "agent_identity": True}
SMALL = {
    "hidden": 16,
    "heads": 2,
    "communication_layers": 1,
    "dropout": 0.0,
    "representation_layers": [12],
    "dynamics_layers": [12],
    "zero_heads": False,
}


def mazero(spec: EnvironmentSpec = SPEC, *, model: dict[str, Any] | None = None, **more: Any) -> Mazero:
    """Small and untrained, with heads that say something."""
    torch.manual_seed(0)
    values = {"search": {"simulations": 5, "samples": 4}, "model": SMALL | (model or {}), "unroll": 3, **more}
    return Mazero(MazeroSettings.model_validate(values), spec, device=torch.device("cpu"))
