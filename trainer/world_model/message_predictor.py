"""Predicting the message that a sender said last from an older one that its reader holds (`late = "predict"`).

What is predicted is a distribution of each id; a token is made of its mean, its mode or a sample of it.  The action is
the one that was heard last.

Axis legend: M rows of readers, N senders, K categoricals, C classes, G recurrent size, F numbers that a token reads of
an action, H width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.nets.latent import LatentLinear
from trainer.nets.perceptron import linear_layer, perceptron
from trainer.nets.settings import LatentSettings

OLDEST_TOLD = 8
"""Steps; messages that are older count as so old."""
UNCHANGED = 0.9
"""Probability with which an id stays as it was before anything is learned."""

Filling = Literal["mean", "mode", "sample"]
DrawIds = Callable[[Tensor], Tensor]
"""Class ids [...] of probabilities [..., C]."""


class MessagePredictor(nn.Module):
    """p(latent that was said last | the one held, its action and age, the sender's slot, the reader's recurrent state).

    The reader's state is that before it reads.  Learns by a loss of its own alone; `told` by the model's.
    """

    def __init__(self, settings: LatentSettings, *, agents: int, action_features: int, filling: Filling) -> None:
        super().__init__()
        self.filling = filling
        hidden, classes = settings.hidden, settings.classes
        self.first = LatentLinear(
            categoricals=settings.categoricals, classes=classes, dense=action_features + settings.recurrent, out=hidden
        )
        self.age = nn.Embedding(OLDEST_TOLD, hidden)
        self.sender = nn.Embedding(agents, hidden)
        self.rest = perceptron([hidden, hidden, settings.categoricals * classes], nn.ELU)
        self.activation = nn.ELU()
        last = linear_layer(self.rest, -1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.stays = nn.Parameter(torch.full((OLDEST_TOLD,), math.log(UNCHANGED / (1 - UNCHANGED) * (classes - 1))))
        self.told = nn.Embedding(OLDEST_TOLD, hidden)
        """What a token says of the age of the message that it is made of."""
        nn.init.zeros_(self.told.weight)
        self.register_buffer("classes", torch.arange(classes), persistent=False)
        self.classes: Tensor

    # Six parameters: what is held, of whom, and by whom.
    def logits(self, ids: Tensor, action: Tensor, age: Tensor, sender: Tensor, deter: Tensor) -> Tensor:
        """[..., K, C] by ids [..., K], what is read of actions [..., F], age and sender int [...], deter [..., G]."""
        older = _place(age)
        hidden = self.first(ids, torch.cat([action, deter], dim=-1)) + self.age(older) + self.sender(sender)
        changed = self.rest(self.activation(hidden)).unflatten(-1, (ids.shape[-1], -1))
        same = (ids.unsqueeze(-1) == self.classes).to(changed.dtype)
        logits: Tensor = changed + self.stays[older][..., None, None] * same
        return logits

    @torch.no_grad()
    def predicted(self, ids: Tensor, action: Tensor, age: Tensor, deter: Tensor) -> Tensor:
        """Probabilities [..., N, K, C] for all senders by what readers [...] hold of each; deter [..., G]."""
        sender = torch.arange(ids.shape[-2], device=ids.device).expand(ids.shape[:-1])
        of_reader = deter.unsqueeze(-2).expand(*ids.shape[:-1], -1)
        return torch.softmax(self.logits(ids, action, age, sender, of_reader), dim=-1)

    def age_code(self, age: Tensor) -> Tensor:
        """[..., H]."""
        code: Tensor = self.told(_place(age))
        return code


def _place(age: Tensor) -> Tensor:
    return (age.long() - 1).clamp(0, OLDEST_TOLD - 1)
