"""What PPO on real experience asks of the network by which agents act.

Axis legend: L rows of a sequence, Q sequences, N agents, P outputs of an actor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainer.algorithms.model_free.sequences import Sequences
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What a network says of the decisions along sequences."""

    log_probability: Tensor
    """[L, Q, N], of what was done."""
    entropy: Tensor
    """[L, Q, N], of what could have been."""
    auxiliary: Tensor | None = None
    """A loss beside PPO's, a scalar; None: there is none."""


class AgentNetwork(nn.Module, ABC):
    """A `Behaviour` and a `Policy`, which says along sequences how it would act now."""

    actions: ActionDistribution

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """See Policy."""

    @abstractmethod
    def initial_state(self, copies: int) -> Any:
        """See Actor."""

    @abstractmethod
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
        """See Actor."""

    @abstractmethod
    def columns(self, state: Any) -> dict[str, Tensor]:
        """See Behaviour."""

    @abstractmethod
    def outputs(self, sequences: Sequences) -> Tensor:
        """[L, Q, N, P], without what is illegal; for what was done, equal to the outputs that it was drawn from as long
        as nothing has been learned."""
