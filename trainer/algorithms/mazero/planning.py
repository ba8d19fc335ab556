"""The model as a search asks for it, and searches with it.

Axis legend: R roots, N agents, X what an agent sees, H width of a hidden state, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.mazero.model import MazeroModel
from trainer.search.draws import SearchDraws
from trainer.search.model import Expansion, Root
from trainer.search.reuse import Subtree
from trainer.search.search import Search
from trainer.search.settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class PlanningModel:
    """A `trainer.search.model.Model`: hidden states are those of whole teams, [R, N, H]."""

    model: MazeroModel
    check: Callable[[], None] = lambda: None
    """Called before every simulation; what it raises leaves the search."""

    @torch.no_grad()
    def root(self, seen: Tensor, legal: Tensor) -> Root:
        """Where plans begin, for what agents see [R, N, X] and may do, bool [R, N, A]."""
        self.check()
        model, hidden = self.model, self.model.represent(seen)
        return Root(hidden=hidden, value=model.values(hidden), logits=model.policy_logits(hidden), legal=legal)

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        """See `Model`."""
        self.check()
        model, step = self.model, self.model.advance(hidden, action)
        value = model.value_logits(step.hidden)
        if model.reward_support == model.value_support:  # then both are read at once
            scalars = model.value_support.decode(torch.stack([step.reward, value])).unbind()
        else:
            scalars = model.reward_support.decode(step.reward), model.value_support.decode(value)
        return Expansion(
            hidden=step.hidden, reward=scalars[0], value=scalars[1], logits=model.policy_logits(step.hidden)
        )


# Six parameters, and each is another's: the networks, where to begin, how, by which numbers, and what is known.
@torch.no_grad()
def planned(
    planning: PlanningModel,
    root: Root,
    settings: SearchSettings,
    draws: SearchDraws,
    *,
    noise: bool,
    known: Subtree | None = None,
) -> Search:
    """A search that has made its simulations."""
    return Search(root, planning, settings, draws, noise=noise, known=known).run()
