"""A model without networks, and draws that are the same for every root."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.search.draws import actions_at
from trainer.search.model import Expansion, Root

AGENTS, ACTIONS = 2, 3


class Scripted:
    """A model whose every number follows from the actions so far: a hidden state [R] is an angle."""

    def __init__(self, agents: int = AGENTS, actions: int = ACTIONS) -> None:
        self.agents, self.actions = agents, actions

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        turned = hidden * 1.3 + (action * torch.arange(1.0, self.agents + 1)).sum(-1) + 0.5
        return self.expansion(turned.remainder(7.0), turned.cos())

    def expansion(self, hidden: Tensor, reward: Tensor) -> Expansion:
        phase = torch.arange(self.agents)[:, None] + torch.arange(self.actions) * 2.0
        return Expansion(
            hidden=hidden, reward=reward, value=3 * hidden.sin(), logits=(hidden[:, None, None] + phase).sin()
        )

    def root(self, roots: int) -> Root:
        found = self.expansion(torch.arange(float(roots)).double(), torch.zeros(roots).double())
        legal = torch.ones(roots, self.agents, self.actions, dtype=torch.bool)
        return Root(hidden=found.hidden, value=found.value, logits=found.logits, legal=legal)


class SeededDraws:
    """The same numbers for every root, whoever else is searched."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        return torch.full_like(like, 1 / like.shape[-1])

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        roots, agents, _ = probabilities.shape
        uniform = torch.rand(1, samples, agents, dtype=torch.float64, generator=self._generator)
        return actions_at(probabilities, uniform.expand(roots, -1, -1))

    def child(self, tied: Tensor) -> Tensor:
        return tied.argmax(-1)
