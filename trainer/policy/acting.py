"""What acts: for the teams of many environments at once, while collecting and while being evaluated.

Axis legend: E copies of the environment, N agents, D observation, A entries of an action mask, k dimensions of a
continuous action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

from torch import Tensor

from trainer.policy.draws import Draws


def carried_tensors(state: Any) -> dict[str, Tensor]:
    """The fields of what a team carries, by name; one that is None is what this team does not carry."""
    every = ((field.name, getattr(state, field.name)) for field in fields(state))
    return {name: tensor for name, tensor in every if tensor is not None}


class Actor(Protocol):
    """Acts, and carries a state from step to step."""

    def initial_state(self, copies: int) -> Any:
        """What the teams of `copies` environments carry from step to step, as a dataclass of tensors, or of None where
        a team does not carry one."""
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


class Policy(Actor, Protocol):
    """Acts as the exported bundles do, each agent on what it may know; all agents in one batch."""

    @property
    def noise_size(self) -> int:
        """Uniform numbers that an agent takes at each step: for the latent that it samples, then for its action."""
        ...


class Behaviour(Actor, Protocol):
    """Acts while experience is collected, and may look at the whole team to do so, as a search does."""

    def columns(self, state: Any) -> Mapping[str, Tensor]:
        """Columns of the algorithm's own, [E, ...], for the rows that the last action led to, from the state that came
        with it; those of the columns that it declares which are known by then."""
        ...
