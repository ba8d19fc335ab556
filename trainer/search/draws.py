"""Where random numbers enter a search: one object, so that a test can replay recorded ones.

Axis legend: R roots, M nodes, K samples, N agents, A actions of one agent.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class SearchDraws(Protocol):
    """The three draws of a search, in the order in which they are asked for: noise once, then per node the others."""

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        """Dirichlet noise [R, N, A] over the last axis, in the type and on the device of `like` [R, N, A]."""
        ...

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        """Joint actions int64 [R, K, N], agents independent, from probabilities [R, N, A]."""
        ...

    def child(self, tied: Tensor) -> Tensor:
        """One of the tied children of every node, int64 [R, M] from bool [R, M, K]; all are equally likely."""
        ...


class RandomDraws:
    """Draws from a generator of the tensors' device; None: torch's global one."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        drawn: Tensor = torch._sample_dirichlet(torch.full_like(like, concentration), generator=self._generator)
        return drawn

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        roots, agents, _ = probabilities.shape
        return actions_at(probabilities, self._uniform((roots, samples, agents), probabilities))

    def child(self, tied: Tensor) -> Tensor:
        keys = torch.rand(tied.shape, device=tied.device, generator=self._generator)
        return keys.masked_fill_(~tied, -1.0).argmax(-1)

    def _uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.rand(shape, dtype=like.dtype, device=like.device, generator=self._generator)


def actions_at(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Joint actions int64 [R, K, N] by inversion: the first whose cumulative probability exceeds a number of [0, 1).

    An action without probability is never drawn: what rounding leaves of the last step goes to the last that has one.
    """
    cumulative = probabilities.cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]
    return (cumulative[:, None] <= uniform[..., None]).sum(-1).clamp_(max=probabilities.shape[-1] - 1)
