"""MAMBA, MAG and MABL at tiny sizes, each with the same networks for the same settings, and a batch for them.

For tests of how they are wired, with no environment and no training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mabl.settings import MablSettings
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mag.settings import MagSettings
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.batch import Batch, Index
from trainer.experience.columns import STATE
from trainer.experience.window import Window

SPEC = EnvironmentSpec(
    id="made",
    agents=2,
    observation_size=5,
    actions=3,
    state_size=4,
    episode_limit=9,
    complete_graph=True,
    outcome="return",
)
STEPS, WINDOWS, BOUNDARY = 5, 3, (2, 1)
"""Rows and windows of a batch, and where in it an episode begins."""
SIZES = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8}
POLICY = {"rounds": 1, "horizon": 2, "epochs": 1, "critic_heads": 2}
CPU = torch.device("cpu")

torch.set_num_threads(1)  # two threads on a small product cost more than they bring


def settings(parts: Mapping[str, Mapping[str, Any]], **top: Any) -> dict[str, Any]:
    given = {"model": SIZES, "policy": POLICY}
    sections = {name: {**given.get(name, {}), **parts.get(name, {})} for name in {*given, *parts} - {"planning"}}
    return {"model_updates": 1, **top, **sections}


def mamba(parts: Mapping[str, Mapping[str, Any]], **top: Any) -> Dreamer:
    given = settings(parts, **top)
    given["model"] = {"heads": 2, "communication_layers": 1, "dropout": 0.0} | given["model"]
    return Mamba(MambaSettings.model_validate(given), SPEC, device=CPU)


def mag(parts: Mapping[str, Mapping[str, Any]], **top: Any) -> Mag:
    given = settings(parts, **top)
    given["model"] = {"heads": 2, "communication_layers": 1, "dropout": 0.0} | given["model"]
    planning = MagSettings(**{"candidates": 2, "horizon": 2, "predictor_updates": 1, **parts.get("planning", {})})
    return Mag(MambaSettings.model_validate(given), planning, SPEC, device=CPU)


def mabl(parts: Mapping[str, Mapping[str, Any]], **top: Any) -> Dreamer:
    return Mabl(MablSettings.model_validate(settings(parts, **top)), SPEC, device=CPU)


MAKERS: dict[str, Callable[..., Dreamer]] = {"mamba": mamba, "mag": mag, "mabl": mabl}
everyone = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def made(make: Callable[..., Dreamer], parts: Mapping[str, Mapping[str, Any]], **top: Any) -> Dreamer:
    """The same networks for the same sizes."""
    torch.manual_seed(1)
    return make(parts, **top)


def batch() -> Window:
    random = torch.Generator().manual_seed(2)
    rows = (STEPS, WINDOWS, SPEC.agents)
    first = torch.zeros(STEPS, WINDOWS, dtype=torch.bool)
    first[BOUNDARY] = True
    return Window(
        observation=torch.randn(*rows, SPEC.observation_size, generator=random),
        action_mask=torch.ones(*rows, SPEC.actions, dtype=torch.bool),
        hears=None,
        present=torch.ones(rows, dtype=torch.bool),
        first=first,
        action=torch.randint(SPEC.actions, rows, generator=random),
        reward=torch.randn(rows, generator=random),
        terminated=torch.zeros(rows, dtype=torch.bool),
        columns={STATE: torch.randn(STEPS, WINDOWS, SPEC.state_size, generator=random)},
    )


class OneBatch:
    """A replay in which there is one batch; counts how often it was asked for."""

    def __init__(self, window: Window | None = None) -> None:
        self.window = window or batch()
        self.asked = 0

    def sample(self, random: np.random.Generator) -> Batch:
        self.asked += 1
        rows = np.zeros(self.window.first.shape, dtype=np.int64)
        return Batch(
            window=self.window,
            index=Index(copy=rows, place=rows, serial=rows),
            weight=torch.ones(self.window.first.shape[1]),
            inside=torch.ones_like(self.window.first),
            age=torch.ones(self.window.first.shape[1], dtype=torch.int64),
        )
