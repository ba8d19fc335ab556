"""How every network here is stepped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import NonFiniteLoss
from trainer.nets.optimisers import Adam
from trainer.ranks.group import ranks


def adam(module: torch.nn.Module, rate: float, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam as everything here uses it."""
    return Adam(module.parameters(), lr=rate, weight_decay=weight_decay, fused=True)


def gradient_step(
    name: str, module: torch.nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, *, clip: float
) -> float:
    """One clipped gradient step; the global norm before clipping.  Raises NonFiniteLoss before it does harm."""
    return summed_gradient_step(name, module, optimiser, [loss], clip=clip)


def summed_gradient_step(
    name: str, module: torch.nn.Module, optimiser: torch.optim.Optimizer, losses: Iterable[Tensor], *, clip: float
) -> float:
    """The same on a sum of losses, each of which is done with before the next is asked for.

    Several ranks step by the mean of their gradients, so that their networks stay the same.
    """
    optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for loss in losses:
        loss.backward()
        total += float(loss.detach())
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    ranks().average(gradients)
    norm = float(torch.nn.utils.clip_grad_norm_(module.parameters(), clip))
    if not np.isfinite(norm):
        raise NonFiniteLoss(
            f"the gradient of the {name} is {norm} (loss {total})",
            remedy="Go on with a smaller learning rate",
        )
    optimiser.step()
    return norm
