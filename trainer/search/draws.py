"""Where random numbers enter a search: one object, so that a test can replay recorded ones.

Axis legend: R roots, M nodes, K samples, N agents, A actions of one agent.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class SearchDraws(Protocol):
    """The draws of a search: noise once, then for every node its joint actions, and children among equals.

    Gumbel numbers are asked for by sequential halving alone, once.
    """

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        """Dirichlet noise [R, N, A] over the last axis, in the type and on the device of `like` [R, N, A]."""
        ...

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        """Joint actions int64 [R, K, N], agents independent, from probabilities [R, N, A]."""
        ...

    def child(self, tied: Tensor) -> Tensor:
        """A child of every node so far, int64 [R, M], of those that are as good as its best: 1 in [R, M, K], else 0.

        In memory K comes first.  A search that begins asks for one node, unless it goes on with a tree.
        """
        ...

    def gumbel(self, like: Tensor) -> Tensor:
        """Standard Gumbel numbers [R, K], as `like`."""
        ...


class RandomDraws:
    """Draws from a generator of the tensors' device; None: torch's global one.

    Every node gets a random order of its children, and of equally good ones takes the first in it.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self._order: Tensor | None = None

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        self._order = None  # a search begins
        drawn: Tensor = torch._sample_dirichlet(torch.full_like(like, concentration), generator=self._generator)
        return drawn

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        roots, agents, _ = probabilities.shape
        return actions_at(probabilities, self._uniform((roots, samples, agents), probabilities))

    def child(self, tied: Tensor) -> Tensor:
        roots, nodes, samples = tied.shape
        order = self._order
        if order is None or nodes == 1:
            order = self._orders(roots, 16, tied, samples)
        while order.shape[-1] < nodes:
            order = torch.cat([order, self._orders(roots, order.shape[-1], tied, samples)], dim=-1)
        self._order = order
        # The largest code says which child it is, without a second look at all of them.
        code = (tied.permute(2, 0, 1) * order[..., :nodes]).amax(0).long()
        return code.bitwise_and_(_stride(samples) - 1).sub_(1).clamp_(min=0)

    def gumbel(self, like: Tensor) -> Tensor:
        return -self._uniform(tuple(like.shape), like).clamp_(min=torch.finfo(like.dtype).tiny).log_().neg_().log_()

    def _orders(self, roots: int, nodes: int, like: Tensor, samples: int) -> Tensor:
        """Codes [K, R, M]: a random number, and in the last bits 1..K, within what single precision holds exactly."""
        drawn = self._uniform((samples, roots, nodes), like)
        number = torch.arange(1, samples + 1, device=like.device)[:, None, None]
        return drawn.mul_(2**24 // _stride(samples)).floor_().mul_(_stride(samples)).add_(number)

    def _uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.rand(shape, dtype=like.dtype, device=like.device, generator=self._generator)


def actions_at(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Joint actions int64 [R, K, N] by inversion: the first whose cumulative probability exceeds a number of [0, 1).

    An action without probability is never drawn: what rounding leaves of the last step goes to the last that has one.
    """
    cumulative = probabilities.cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]
    drawn = torch.searchsorted(cumulative, uniform.transpose(1, 2).contiguous(), right=True)
    # A policy that is not a number reaches nothing; the search tells of it at its end.
    return drawn.clamp_(max=probabilities.shape[-1] - 1).transpose(1, 2)


def _stride(samples: int) -> int:
    """Room for 1..K in the last bits of a code."""
    return 1 << samples.bit_length()
