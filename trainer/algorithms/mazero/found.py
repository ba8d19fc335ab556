"""What is kept of a search for learning: the root's joint actions, how it rates them, and as columns of replay.

Axis legend: R roots, K sampled joint actions, N agents; [...] any leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.experience.columns import Column
from trainer.search.search import SearchResult
from trainer.search.settings import SearchSettings

_PREFIX = "search."


@dataclass(frozen=True, kw_only=True)
class Found:
    """Slots without a joint action are not valid and hold zeros."""

    actions: Tensor
    """int64 [..., K, N]."""
    valid: Tensor
    """bool [..., K]."""
    policy: Tensor
    """[..., K]: shares of the visits, or what else the search has come to."""
    q: Tensor
    """[..., K]: what each is worth."""
    ratio: Tensor
    """[..., K]: its importance ratio."""
    prediction: Tensor
    """[...]: the model's value of the root."""
    value: Tensor
    """[...]: the search's."""

    def columns(self) -> dict[str, Tensor]:
        """By the names of `found_columns`."""
        return {f"{_PREFIX}{name}": value for name, value in vars(self).items()}


def found_columns(spec: EnvironmentSpec, samples: int) -> dict[str, Column]:
    """What rows hold of the search that chose the action which led to them."""
    shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
        "actions": ((samples, spec.agents), np.int16),
        "valid": ((samples,), np.bool_),
        "policy": ((samples,), np.float32),
        "q": ((samples,), np.float32),
        "ratio": ((samples,), np.float32),
        "prediction": ((), np.float32),
        "value": ((), np.float32),
    }
    return {f"{_PREFIX}{name}": Column(shape=shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}


def found_in(columns: Mapping[str, Tensor]) -> Found:
    """What columns [..., ...] of replay hold."""
    own = {name.removeprefix(_PREFIX): value for name, value in columns.items() if name.startswith(_PREFIX)}
    return Found(**own | {"actions": own["actions"].long()})


def found_by(result: SearchResult, settings: SearchSettings) -> Found:
    """Of a search's roots, [R, ...].

    Released, a joint action that was not visited is worth 0; halving leaves many without a visit, and they are worth
    what the model predicts of the root.
    """
    q = result.q
    if settings.root == "halving":
        q = torch.where(result.valid & (result.visits == 0), result.prediction.unsqueeze(-1), q)
    return Found(
        actions=result.actions,
        valid=result.valid,
        policy=result.improved,
        q=q,
        ratio=result.ratio,
        prediction=result.prediction,
        value=result.value,
    )


def tempered(policy: Tensor, temperature: float) -> Tensor:
    """Shares [..., K] to the power 1 / temperature."""
    raised = (policy / policy.amax(-1, keepdim=True)) ** (1 / temperature)  # the largest stays 1 however cold it is
    return raised / raised.sum(-1, keepdim=True)


def entropy_bits(policy: Tensor) -> Tensor:
    """Of shares [..., K], [...]."""
    nats: Tensor = -torch.special.xlogy(policy, policy).sum(-1)
    return nats / math.log(2)
