"""Where random numbers enter the networks: one object, so that a test can replay recorded samples.

Axis legend: C classes of a categorical, A entries of an action mask, P outputs of an actor.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.nets.latent import sample_ids
from trainer.policy.distributions import ActionDistribution


class Draws(Protocol):
    """Samples of latents, actions and availability, in the order in which they are asked for."""

    def latent(self, probabilities: Tensor) -> Tensor:
        """Class ids [...] from [..., C]."""
        ...

    def missing(self, probabilities: Tensor) -> Tensor:
        """Class ids [..., N, K] of messages that were predicted with [..., N, K, C]."""
        ...

    def count(self, probabilities: Tensor) -> Tensor:
        """How many ids an agent says, [...] from [..., K + 1]."""
        ...

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        """Actions [...] from an actor's outputs [..., P]."""
        ...

    def available(self, probabilities: Tensor) -> Tensor:
        """bool [..., A] from Bernoulli probabilities [..., A]."""
        ...


class RandomDraws:
    """Samples from a generator of the networks' device; None: torch's global one, whose state a checkpoint keeps."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def latent(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._uniform(probabilities[..., 0]))

    def count(self, probabilities: Tensor) -> Tensor:
        return self.latent(probabilities)

    def missing(self, probabilities: Tensor) -> Tensor:
        return self.latent(probabilities)

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        return actions.sample(outputs, self._uniform(outputs.new_empty(*outputs.shape[:-1], actions.noise)))

    def available(self, probabilities: Tensor) -> Tensor:
        return self._uniform(probabilities) < probabilities

    def _uniform(self, like: Tensor) -> Tensor:
        if self.generator is None:
            return torch.rand_like(like)
        return torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=self.generator)


class GreedyDraws:
    """The most likely value of everything; needs no randomness."""

    def latent(self, probabilities: Tensor) -> Tensor:
        return probabilities.argmax(-1)

    def missing(self, probabilities: Tensor) -> Tensor:
        return probabilities.argmax(-1)

    def count(self, probabilities: Tensor) -> Tensor:
        return self.latent(probabilities)

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        return actions.mode(outputs)

    def available(self, probabilities: Tensor) -> Tensor:
        return probabilities >= 0.5


class NoiseDraws:
    """Samples with given uniform numbers, as an agent node does.

    `noise` [...]: K numbers for the categoricals of the latent, one more where it is decided how many of them are said,
    N x K for those of messages that are predicted, if any are drawn, then those for the action (`heliograph.noise`).
    """

    def __init__(self, noise: Tensor) -> None:
        self._noise = noise

    def latent(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._noise[..., : probabilities.shape[-2]])

    def missing(self, probabilities: Tensor) -> Tensor:
        senders, categoricals = probabilities.shape[-3:-1]
        noise = self._noise[..., categoricals : (1 + senders) * categoricals]
        return sample_ids(probabilities, noise.unflatten(-1, (senders, categoricals)))

    def count(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._noise[..., probabilities.shape[-1] - 1])

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        return actions.sample(outputs, self._noise[..., -actions.noise :])

    def available(self, probabilities: Tensor) -> Tensor:
        raise RuntimeError("an agent at execution reads its action mask, it never samples one")
