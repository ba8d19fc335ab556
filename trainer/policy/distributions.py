"""Distributions of actions: what an actor's outputs mean, for one of some actions, for vectors within bounds, and where
a team has agents of both kinds.

Axis legend: A entries of an action mask, k dimensions, P outputs of an actor, F numbers that a network reads of an
action.

Everybody else handles outputs, masks and actions as tensors whose last axes are these and need not know which it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from heliograph.environments.vector import EnvironmentSpec
from trainer.nets.latent import sample_ids

ILLEGAL_LOGIT = -1e10
"""Has probability 0 in float32."""

SMALLEST_DEVIATION, LARGEST_DEVIATION = 0.1, 1.0

FAR = 1e6
"""Deviations from a mean, beyond which nothing is."""
LARGEST_SQUASHED = 1 - 1e-9


class ActionDistribution(Protocol):
    """Actions [..., *shape] given outputs [..., P]."""

    @property
    def mask_size(self) -> int:
        """A."""
        ...

    @property
    def outputs(self) -> int:
        """P."""
        ...

    @property
    def features(self) -> int:
        """F."""
        ...

    @property
    def noise(self) -> int:
        """Uniform numbers that one action takes."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one agent's action."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of actions in the trainer."""
        ...

    @property
    def executed_dtype(self) -> torch.dtype:
        """Of actions in an exported graph."""
        ...

    def masked(self, outputs: Tensor, available: Tensor | None) -> Tensor:
        """Outputs under which nothing happens that `available`, bool [..., A], does not allow."""
        ...

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """Actions by `noise` numbers in [0, 1) each, [..., noise]; the same arithmetic runs in the exported graph."""
        ...

    def mode(self, outputs: Tensor) -> Tensor:
        """The most likely actions."""
        ...

    def log_probability(self, outputs: Tensor, action: Tensor) -> Tensor:
        """[...]."""
        ...

    def entropy(self, outputs: Tensor) -> Tensor:
        """[...]."""
        ...

    def largest_entropy(self, outputs: Tensor) -> Tensor:
        """The largest entropy [...] that outputs with the same masks could have."""
        ...

    def read(self, action: Tensor) -> Tensor:
        """What networks read of an action, [..., F]."""
        ...


@dataclass(frozen=True)
class Categorical:
    """One of `count` actions; outputs are logits [..., A]."""

    count: int
    noise = 1
    shape = ()
    dtype = torch.int64
    executed_dtype = torch.int32

    @property
    def mask_size(self) -> int:
        return self.count

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def features(self) -> int:
        return self.count

    def masked(self, outputs: Tensor, available: Tensor | None) -> Tensor:
        return outputs if available is None else outputs.masked_fill(~available, ILLEGAL_LOGIT)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        return sample_ids(torch.softmax(outputs, dim=-1), uniform.squeeze(-1))

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(-1)

    def log_probability(self, outputs: Tensor, action: Tensor) -> Tensor:
        return functional.log_softmax(outputs, dim=-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        log_policy = functional.log_softmax(outputs, dim=-1)
        return -(log_policy.exp() * log_policy).sum(-1)

    def largest_entropy(self, outputs: Tensor) -> Tensor:
        return (outputs > ILLEGAL_LOGIT / 2).sum(-1).clamp(min=1).to(outputs.dtype).log()

    def read(self, action: Tensor) -> Tensor:
        return functional.one_hot(action, self.count)


@dataclass(frozen=True)
class SquashedGaussian:
    """A vector of `size` numbers in (-1, 1): tanh of a normal, at the middle of one of `levels` cells.

    Outputs are means and deviations before squashing, [..., 2k]; a deviation is between 0.1 and 1.  An action is as
    probable as its cell, and the outermost cells have all that lies beyond: where a mean lies far out, the last cell is
    nearly certain.  (By the density at its middle it would be all but impossible, and a small step of the mean would
    change that by any factor.)  A dimension that is not available is always 0, for certain.
    """

    size: int
    levels: int
    dtype = torch.float32
    executed_dtype = torch.float32

    @property
    def mask_size(self) -> int:
        return self.size

    @property
    def outputs(self) -> int:
        return 2 * self.size

    @property
    def features(self) -> int:
        return self.size

    @property
    def noise(self) -> int:
        return 2 * self.size

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)

    def masked(self, outputs: Tensor, available: Tensor | None) -> Tensor:
        if available is None:
            return outputs
        mean, raw = outputs.chunk(2, dim=-1)
        return torch.cat([mean.masked_fill(~available, 0.0), raw.masked_fill(~available, ILLEGAL_LOGIT)], dim=-1)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        mean, deviation, there = self._parts(outputs)
        # Box and Muller's normal: its functions are ONNX operators, the inverse of the normal's CDF is none.
        radius, angle = (1 - uniform).chunk(2, dim=-1)
        normal = torch.sqrt(-2 * torch.log(radius)) * torch.cos(2 * math.pi * angle)
        return self._snapped(torch.tanh(mean + deviation * normal * there))

    def mode(self, outputs: Tensor) -> Tensor:
        return self._snapped(torch.tanh(self._parts(outputs)[0]))

    def log_probability(self, outputs: Tensor, action: Tensor) -> Tensor:
        # In float64: that a cell is narrow, or far from the mean, leaves float32 nothing of a difference of two tails.
        mean, deviation, there = (part.double() for part in self._parts(outputs))
        low, high = (
            torch.where(edge.abs() < 1 - 0.5 / self.levels, (_unsquashed(edge) - mean) / deviation, FAR * edge.sign())
            for edge in (action.double() - 1 / self.levels, action.double() + 1 / self.levels)
        )
        return (_log_probability_between(low, high) * there).sum(-1).to(outputs.dtype)

    def entropy(self, outputs: Tensor) -> Tensor:
        """Of the normal before squashing, for which there is a closed form."""
        _, deviation, there = self._parts(outputs)
        return ((0.5 * (1 + math.log(2 * math.pi)) + torch.log(deviation)) * there).sum(-1)

    def largest_entropy(self, outputs: Tensor) -> Tensor:
        there = self._parts(outputs)[2]
        return (0.5 * (1 + math.log(2 * math.pi)) + math.log(LARGEST_DEVIATION)) * there.sum(-1)

    def read(self, action: Tensor) -> Tensor:
        return action

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, deviations and, as 0 or 1, which dimensions there are; [..., k] each."""
        mean, raw = outputs.chunk(2, dim=-1)
        span = LARGEST_DEVIATION - SMALLEST_DEVIATION
        return mean, SMALLEST_DEVIATION + span * torch.sigmoid(raw), (raw > ILLEGAL_LOGIT / 2).to(raw.dtype)

    def _snapped(self, values: Tensor) -> Tensor:
        cells = torch.clamp(torch.floor((values + 1) * (self.levels / 2)), 0, self.levels - 1)
        return (2 * cells + (1 - self.levels)) / self.levels


def _unsquashed(values: Tensor) -> Tensor:
    """Numbers whose tanh are `values`; finite beyond -1 and 1, too, where somebody else decides."""
    return torch.atanh(values.clamp(-LARGEST_SQUASHED, LARGEST_SQUASHED))


def _log_probability_between(low: Tensor, high: Tensor) -> Tensor:
    """Logarithm of how likely a standard normal is between two numbers, low < high, [...]."""
    # Where both are above 0, their mirror images: near 1, two tails differ by less than a float can tell.
    mirrored = low + high > 0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    above: Tensor = torch.special.log_ndtr(high)
    return above + torch.log(-torch.expm1(torch.special.log_ndtr(low) - above))


@dataclass(frozen=True)
class ChoiceAndVector:
    """A choice and a vector, drawn apart from one another, in one row [..., 1 + k]; see `heliograph.action_rows`.

    Of a mixed team, where an agent has one of the two and its mask takes the other away: one choice that alone is
    available has probability 1, a dimension that is not there is 0 for certain, and neither adds to density or entropy.
    So each agent's distribution is exactly that of its own kind, and no network need know which it is.
    """

    choice: Categorical
    vector: SquashedGaussian
    gives_vector: tuple[bool, ...] = ()
    """By slot: whether the agent gives a vector, and otherwise chooses; empty where only masks know."""
    dtype = torch.float32
    executed_dtype = torch.float32

    @property
    def mask_size(self) -> int:
        return self.choice.mask_size + self.vector.mask_size

    @property
    def outputs(self) -> int:
        return self.choice.outputs + self.vector.outputs

    @property
    def features(self) -> int:
        return self.choice.features + self.vector.features

    @property
    def noise(self) -> int:
        return self.choice.noise + self.vector.noise

    @property
    def shape(self) -> tuple[int, ...]:
        return (1 + self.vector.size,)

    def masked(self, outputs: Tensor, available: Tensor | None) -> Tensor:
        if available is None:
            return outputs
        choice, vector = self._outputs(outputs)
        choices, dimensions = available.split([self.choice.mask_size, self.vector.mask_size], dim=-1)
        return torch.cat([self.choice.masked(choice, choices), self.vector.masked(vector, dimensions)], dim=-1)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        (choice, vector), split = self._outputs(outputs), self.choice.noise
        return self._row(
            self.choice.sample(choice, uniform[..., :split]), self.vector.sample(vector, uniform[..., split:])
        )

    def mode(self, outputs: Tensor) -> Tensor:
        choice, vector = self._outputs(outputs)
        return self._row(self.choice.mode(choice), self.vector.mode(vector))

    def log_probability(self, outputs: Tensor, action: Tensor) -> Tensor:
        choice, vector = self._outputs(outputs)
        chosen = self.choice.log_probability(choice, action[..., 0].long())
        return chosen + self.vector.log_probability(vector, action[..., 1:])

    def entropy(self, outputs: Tensor) -> Tensor:
        choice, vector = self._outputs(outputs)
        return self.choice.entropy(choice) + self.vector.entropy(vector)

    def largest_entropy(self, outputs: Tensor) -> Tensor:
        choice, vector = self._outputs(outputs)
        return self.choice.largest_entropy(choice) + self.vector.largest_entropy(vector)

    def read(self, action: Tensor) -> Tensor:
        return torch.cat([self.choice.read(action[..., 0].long()).to(action.dtype), action[..., 1:]], dim=-1)

    def of_each_kind(self, available: Tensor) -> Tensor:
        """Predicted probabilities [..., N, A] that entries of a mask are true, made 0 or 1 where the agent's kind
        decides it, so that nobody imagines what it can never do."""
        if not self.gives_vector:
            return available
        gives = torch.tensor(self.gives_vector, device=available.device).unsqueeze(-1)  # [N, 1]
        choices, dimensions = available.split([self.choice.mask_size, self.vector.mask_size], dim=-1)
        only = torch.zeros_like(choices)
        only[..., 0] = 1
        return torch.cat([torch.where(gives, only, choices), torch.where(gives, dimensions, 0.0)], dim=-1)

    def _outputs(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        choice, vector = outputs.split([self.choice.outputs, self.vector.outputs], dim=-1)
        return choice, vector

    def _row(self, choice: Tensor, vector: Tensor) -> Tensor:
        return torch.cat([choice.unsqueeze(-1).to(vector.dtype), vector], dim=-1)


def action_distribution(spec: EnvironmentSpec) -> ActionDistribution:
    """What actors of an environment put out."""
    rows = spec.rows
    if rows.vector is None:
        return Categorical(rows.choices)
    vector = SquashedGaussian(rows.size, rows.vector.levels)
    if not rows.mixed:
        return vector
    gives_vector = tuple(rows.is_vector(slot) for slot in range(spec.agents))
    return ChoiceAndVector(Categorical(rows.choices), vector, gives_vector)
