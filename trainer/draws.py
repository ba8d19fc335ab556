"""Where random numbers enter the networks: one object, so that a test can replay recorded samples.

Axis legend: C classes of a categorical, A actions.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.nets.latent import sample_ids


class Draws(Protocol):
    """Samples of latents, actions and availability, in the order in which they are asked for."""

    def latent(self, probabilities: Tensor) -> Tensor:
        """Class ids [...] from [..., C]."""
        ...

    def action(self, logits: Tensor) -> Tensor:
        """Actions [...] from logits [..., A]."""
        ...

    def available(self, probabilities: Tensor) -> Tensor:
        """bool [..., A] from Bernoulli probabilities [..., A]."""
        ...


class RandomDraws:
    """Samples from a generator of the networks' device; None: torch's global one, whose state a checkpoint keeps."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator

    def latent(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._uniform(probabilities[..., 0]))

    def action(self, logits: Tensor) -> Tensor:
        return sample_ids(torch.softmax(logits, dim=-1), self._uniform(logits[..., 0]))

    def available(self, probabilities: Tensor) -> Tensor:
        return self._uniform(probabilities) < probabilities

    def _uniform(self, like: Tensor) -> Tensor:
        if self._generator is None:
            return torch.rand_like(like)
        return torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=self._generator)


class GreedyDraws:
    """The most likely value of everything; needs no randomness."""

    def latent(self, probabilities: Tensor) -> Tensor:
        return probabilities.argmax(-1)

    def action(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def available(self, probabilities: Tensor) -> Tensor:
        return probabilities >= 0.5


class NoiseDraws:
    """Samples with given uniform numbers, as an agent node does.

    `noise` [..., K + 1]: K numbers for the categoricals of the latent and one for the action (`heliograph.noise`).
    """

    def __init__(self, noise: Tensor) -> None:
        self._noise = noise

    def latent(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._noise[..., :-1])

    def action(self, logits: Tensor) -> Tensor:
        return sample_ids(torch.softmax(logits, dim=-1), self._noise[..., -1])

    def available(self, probabilities: Tensor) -> Tensor:
        raise RuntimeError("an agent at execution reads its action mask, it never samples one")
