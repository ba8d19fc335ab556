"""Planning to predict: among several next states, the one from which the model errs least (MAG, Algorithm 1).

Axis legend: M joint states, L candidates.

The models are the ones that decide here and the policy is their environment: each of L candidate next states is
rolled on under the current policy, and a predictor tells how wrong the model will be along the way.  This wraps
whatever imagination offers the three parts of a transition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from trainer.nets.joint_rows import JointRows
from trainer.world_model.imagination import Decision
from trainer.world_model.settings import PlanningSettings

States = TypeVar("States", bound=JointRows)
Outlooks = TypeVar("Outlooks", bound=JointRows)


class Plannable(Protocol[States, Outlooks]):
    """An imagination in parts; see `trainer.world_model.imagination`."""

    def decide(self, states: States) -> Decision: ...

    def transition(self, states: States, action: Tensor) -> Outlooks: ...

    def predict(self, outlook: Outlooks) -> States: ...


@dataclass(frozen=True, kw_only=True)
class Planning(Generic[States, Outlooks]):
    """Takes the place of an imagination's `predict`."""

    world: Plannable[States, Outlooks]
    error: Callable[[States], Tensor]
    """Predicted model error [M] of joint states."""
    settings: PlanningSettings

    def __call__(self, outlook: Outlooks) -> States:
        """One next state for each of M outlooks.

        The candidates share the transition that leads to them; the others are one call each for all L x M of them.
        """
        world, count = self.world, self.settings.candidates
        candidates = states = world.predict(outlook.copies(count))
        errors = self.error(states)
        for _step in range(self.settings.horizon - 1):
            states = world.predict(world.transition(states, world.decide(states).action))
            errors = errors + self.error(states)
        best = least_error(errors.unflatten(0, (count, -1)), self.settings)
        return candidates.rows(best * len(best) + torch.arange(len(best), device=best.device))


def least_error(errors: Tensor, settings: PlanningSettings) -> Tensor:
    """Candidates int64 [M] by accumulated errors [L, M]: each row's own best, or the one that is best on average."""
    return errors.argmin(0) if settings.select == "row" else errors.mean(1).argmin().expand(errors.shape[1])
