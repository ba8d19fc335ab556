"""The seam between the training loop and an algorithm: all that anybody asks of one.

| who | asks for | when |
|---|---|---|
| `training.make_algorithm` | the class: `(*sections, spec, device=, [compile_mode=])` | whenever a run is opened |
| `training.empty_replay` | `columns()` | before anything is collected |
| `experience.collector` | `behaviour()`: `act`, then `columns` of the state that came with it | at every step that is \
collected; with overlap from a deep copy, made before the update that runs meanwhile |
| `training.training` | `update()`, or `update_in_parts()` of a `PausingAlgorithm` | after each iteration's \
experience, once replay is ready |
| `training.training` | `predict()` of a `held_out.PredictingAlgorithm` | before each update, of what is new in replay |
| `training.calibration`, `.imagined_episode` | what an `imagining.ImaginingAlgorithm` adds | at evaluations on the \
way, and for `heliograph dream` |
| `training.evaluation` | `policy()`: `act`, `noise_size` | on the way, at the end, and for `heliograph evaluate` |
| `export.bundles` | `name`, `step_function()` | for every slot, with each export |
| `export.tables` | `message`, `latents()` of a `MessagingAlgorithm` | before an export |
| `commands.central_replay` | `step_function()`, `actions` | when recorded decisions are made again |
| `commands.central_evaluator` | what a `SearchingAlgorithm` adds | for `heliograph evaluate --search` |
| `training.checkpoint`, `.snapshots` | `modules()`, `optimisers()`, `counters()`, `restore_counters()` | when one is \
written or read |

What must be known before torch is loaded (sections of settings, whether it learns on policy or compiles) is said by
the algorithm's entry in `registry`.

Axis legend: T time, B windows, N agents, K categoricals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.step_function import StepFunction
from trainer.experience.columns import Column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.random_states import Check
from trainer.policy.acting import Behaviour, Policy
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import Draws


class Algorithm(Protocol):
    """What learns.  The loop knows nothing else of MAMBA, MABL, MAG, MARIE or MAZero."""

    @property
    def name(self) -> str:
        """Its name in the registry, which bundles carry."""
        ...

    @property
    def spec(self) -> EnvironmentSpec:
        """Of the environment that it was made for."""
        ...

    @property
    def actions(self) -> ActionDistribution:
        """What the outputs of its actors mean."""
        ...

    def columns(self) -> Mapping[str, Column]:
        """What rows of replay hold for it beyond what every row has; see `experience.columns`."""
        ...

    def behaviour(self) -> Behaviour:
        """Collects with the networks as they are at each step; a deep copy of it stays as it is."""
        ...

    def policy(self) -> Policy:
        """Does what the bundles of all agents do, with the networks as they are at each step."""
        ...

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """Learn from replay for one training iteration; means of what is worth plotting.

        Raises NonFiniteLoss, with the term named, before a broken gradient reaches a parameter.
        """
        ...

    def step_function(self, slot: int) -> StepFunction:
        """What agent `slot` runs on its own; copies, on the CPU."""
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


@runtime_checkable
class MessagingAlgorithm(Algorithm, Protocol):
    """An algorithm whose agents exchange messages."""

    @property
    def message(self) -> MessageFormat | None:
        """Of the messages that every agent sends; None if its settings have nobody send any."""
        ...

    def latents(self, window: Window, draws: Draws) -> Tensor:
        """What the agents of a window would send at each of its rows, int64 [T, B, N, K]."""
        ...


@runtime_checkable
class PricingAlgorithm(MessagingAlgorithm, Protocol):
    """An algorithm that learns with tables of its own of what its agents send."""

    def message_counts(self) -> npt.NDArray[np.int64] | None:
        """Of each class of each categorical [K, C]; None if there are none, or nothing was learned yet."""
        ...


@runtime_checkable
class PausingAlgorithm(Algorithm, Protocol):
    """An algorithm whose updates can take minutes, and can be left before they are over."""

    def update_in_parts(self, replay: Replay, random: np.random.Generator, *, check: Check) -> dict[str, float]:
        """As `update`.  `check` is called every second or so, and what it raises leaves the update: networks, replay
        and generators are then as they were after its last whole part, `counters` say how many were made, and the next
        call makes the others, also after a checkpoint."""
        ...


@runtime_checkable
class ClosingAlgorithm(Algorithm, Protocol):
    """An algorithm that holds processes."""

    def close(self) -> None:
        """End them; an update after that starts others."""
        ...


@runtime_checkable
class SearchingAlgorithm(Algorithm, Protocol):
    """An algorithm that can plan at execution, too, if one place sees what all agents see; its bundles do not."""

    @property
    def hidden_size(self) -> int:
        """Numbers that an agent would send to that place at every step for its part of a search's root."""
        ...

    def searching_policy(self, generator: torch.Generator) -> Policy:
        """Acts by search, whose own draws come from `generator`, on the networks' device."""
        ...
