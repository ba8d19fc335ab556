"""The seam to whoever looks at what a model imagines: each algorithm says how it goes on from what was seen.

Axis legend: T rows, M starts, N agents, D observation, H transitions, S imagined states (transitions + 1).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from trainer.algorithms.held_out import PredictingAlgorithm
from trainer.experience.batch import Batch
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.settings import PolicySettings


@runtime_checkable
class ImaginingAlgorithm(PredictingAlgorithm, Protocol):
    """An algorithm whose actor and critic learn in the imagination of its model."""

    @property
    def learning(self) -> PolicySettings:
        """How far it imagines, and how it counts what is earned."""
        ...

    @property
    def longest_rollout(self) -> int | None:
        """Transitions that it can imagine at most; None: any number."""
        ...

    def leading_rows(self, window: int) -> int:
        """How many rows before a start it reads, where it learns from windows of so many rows."""
        ...

    def model_is_ready(self) -> bool:
        """Whether its policy learns from what it imagines."""
        ...

    def imagine_after(
        self, seen: Batch, draws: RandomDraws, *, horizon: int, actions: Tensor | None = None
    ) -> ImaginedRollout:
        """Imagine so many transitions under the policy as it is now, from the last row of each window, with no draws
        but these; the rows before have led up to it.

        Where `actions` [H, M, N, ...] are given, these are what is done, whatever the policy says; what else an
        algorithm asks its policy on the way, as MAG does when it plans, it still does.
        """
        ...

    def reconstructed(self, rollout: ImaginedRollout) -> Tensor:
        """What agents would observe in imagined states, [S, M, N, D]."""
        ...
