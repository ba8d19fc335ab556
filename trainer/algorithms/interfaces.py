"""The one seam between the training loop and an algorithm.

Axis legend: E copies of the environment, N agents, D observation, A entries of an action mask, K categoricals, k
dimensions of a continuous action; T time, B windows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.export.bundles import StepFunction
from trainer.policy.draws import Draws


class Actor(Protocol):
    """What acts for the teams of many environments at once."""

    def initial_state(self, copies: int) -> Any:
        """What the teams of `copies` environments carry from step to step, as a dataclass of tensors."""
        ...

    def act(
        self,
        state: Any,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, Any]:
        """Actions (int64 [E, N], or float [E, N, k]) and the next state, for float [E, N, D], bool [E, N, A], bool
        [E, N, N] (None: everyone hears everyone) and bool [E].  What is given is overwritten later, so the next state
        must not refer to it."""
        ...


class Algorithm(Actor, Protocol):
    """What learns.  The loop knows nothing else of MAMBA, MABL, MAG, MARIE or MAZero."""

    name: str
    spec: EnvironmentSpec
    """Of the environment that it was made for."""
    reads_state: bool
    """Its windows hold the simulator's global state, where there is one."""
    reads_carried: bool
    """Its windows hold what the team carried from step to step while it acted."""

    def acting_copy(self) -> Actor:
        """Acts as this does now, whatever is learned later; for collecting in another thread."""
        ...

    def message_size(self) -> int:
        """Categoricals of a latent message; 0: none."""
        ...

    def noise_size(self) -> int:
        """Uniform numbers that an agent takes at each step: for the latent that it samples, then for its action."""
        ...

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """Learn from replay for one training iteration; means of what is worth plotting.

        Raises NonFiniteLoss, with the term named, before a broken gradient reaches a parameter.
        """
        ...

    def step_function(self, slot: int) -> StepFunction:
        """What agent `slot` runs on its own."""
        ...

    def modules(self) -> dict[str, torch.nn.Module]:
        """Networks by name, for checkpoints."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Optimisers by name, for checkpoints."""
        ...

    def counters(self) -> dict[str, float]:
        """Schedules and counts, for checkpoints."""
        ...

    def restore_counters(self, counters: dict[str, float]) -> None:
        """Take over the counters of a checkpoint."""
        ...


class Speaker(Algorithm, Protocol):
    """An algorithm whose agents say something."""

    def latents(self, window: Window, draws: Draws) -> Tensor:
        """What the agents of a window would say at each of its rows, int64 [T, B, N, K]."""
        ...
