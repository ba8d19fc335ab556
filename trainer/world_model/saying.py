"""How many of its ids an agent says, its own choice at every step (learned precision, after DDCL, arXiv 2511.01554).

A message says the first n ids of a latent, n = 0..K; those that are not said count as the zero vector to whoever
receives it, while the sender itself goes on by all of them.  A network of the sender gives the chances of each n in its
state; gradients pass the draw straight through to the chance of each id to be said.

Axis legend: N agents, M joint rows, K categoricals, C classes, G recurrent size, H width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.nets.perceptron import FeatureHead, linear_layer
from trainer.nets.settings import LatentSettings
from trainer.policy.draws import Draws
from trainer.world_model.rssm import TeamRSSM

_BEGUN = 1.0
"""Logit of a whole message above that of all shorter ones together, at first: these, a quarter, teach that the first
ids should tell most."""


def make_head(settings: LatentSettings) -> FeatureHead:
    """Head [z, h] -> logits [..., K + 1] of each number of ids."""
    head = FeatureHead(
        categoricals=settings.categoricals,
        classes=settings.classes,
        dense=settings.recurrent,
        hidden=settings.hidden,
        out=settings.categoricals + 1,
        activation=nn.ELU,
        layers=1,
    )
    head.begin_with_zeros()
    with torch.no_grad():
        linear_layer(head.rest, -1).bias[-1] = torch.tensor(float(settings.categoricals)).log() + _BEGUN
    return head


def chances(head: nn.Module, ids: Tensor, deter: Tensor) -> Tensor:
    """[..., K + 1] of each number of ids; what it is told from learns nothing from it."""
    logits: Tensor = head(ids, deter.detach())
    return torch.softmax(logits, dim=-1)


def shares_sent(numbers: Tensor) -> Tensor:
    """The chance [..., K] of each id to be said, from those [..., K + 1] of each number of ids."""
    return numbers.flip(-1).cumsum(-1).flip(-1)[..., 1:]


def are_sent(count: Tensor, categoricals: int) -> Tensor:
    """bool [..., K]: the first ones of so many ids [...]."""
    return torch.arange(categoricals, device=count.device) < count.unsqueeze(-1)


def unsaid(ids: Tensor, said: Tensor, *, classes: int) -> Tensor:
    """Ids [..., K] as they are sent: those that are not said are `classes`, which is none."""
    return torch.where(said, ids, classes)


def drawn(head: nn.Module, ids: Tensor, deter: Tensor, draws: Draws, *, classes: int) -> Tensor:
    """Ids [..., K] as they are sent, the number of them drawn."""
    return unsaid(ids, are_sent(draws.count(chances(head, ids, deter)), ids.shape[-1]), classes=classes)


def straight_through(said: Tensor, shares: Tensor) -> Tensor:
    """1 or 0 [..., K] with the gradient of the chance."""
    return said.to(shares.dtype) + shares - shares.detach()


def with_own(rssm: TeamRSSM, own: Tensor, told: Tensor) -> Tensor:
    """Tokens by reader [M, N, N, H]: one's own of the whole latent, the others' of what they said.

    Both are as `rssm.tokens` gives them.
    """
    mine, theirs = rssm.as_read(own), rssm.as_read(told)
    diagonal = torch.eye(mine.shape[1], dtype=torch.bool, device=mine.device).unsqueeze(-1)
    return torch.where(diagonal, mine, theirs)


def everyone(like: Tensor) -> Tensor:
    """Neighbour sets bool [M, N, N] of a complete graph, for tokens by reader `like` [M, N, N, H]."""
    return torch.ones(like.shape[:-1], dtype=torch.bool, device=like.device)
