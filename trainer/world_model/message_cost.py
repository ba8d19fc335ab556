"""What messages take in bits: their expected length by the tables of the codec `entropy`, as a term of a model's loss.

The tables are the running shares of the classes that the team sends, and are exported with it, so that what is
penalised is what will be written.  Where precision is learned, a message takes the bits of what it is likely to say,
and of how much that is.  A penalty by the cross-entropy to a marginal is the variational bound on the information of a
message (Alemi et al. 2017).

Axis legend: T time, B windows, N agents, K categoricals, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.experience.messages import messages_made, messages_sent
from trainer.experience.window import Window
from trainer.ranks.group import ranks
from trainer.world_model.message_settings import MessageSettings
from trainer.world_model.posteriors import Posteriors

OBSERVATIONS = 4096
"""Counts in each row of the exported tables; a class that was never sent has a word of some log2(2 * 4096 + C) bits."""
_KEPT = 0.99
"""Weight of what was known before, per update."""


@dataclass(frozen=True, kw_only=True)
class MessageCost:
    """Of one batch of windows."""

    bits: Tensor
    """Scalar: per agent-step."""
    shares: Tensor
    """[K, C] of the classes of what was sent, of which there are `messages` (scalar); no gradient.  Where precision is
    learned [K, C + 1], the last of what was not said."""
    messages: Tensor


class MessagePrice(nn.Module):
    """The tables as they are learned, and the weight of bits in the loss as it is now; both are kept in checkpoints."""

    def __init__(self, settings: MessageSettings, *, categoricals: int, classes: int) -> None:
        super().__init__()
        self.settings = settings
        self._count_bits = categoricals.bit_length() if settings.learns_precision else 0
        self.register_buffer("shares", torch.zeros(categoricals, classes + settings.learns_precision))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("weight", torch.tensor(self._weight(0)))
        self.shares: Tensor
        self.seen: Tensor
        self.weight: Tensor

    def cost(self, window: Window, posteriors: Posteriors) -> MessageCost:
        """Gradients reach the posterior's probabilities, and from those what made them."""
        made = messages_made(window)
        sent = messages_sent(window, made=made).to(posteriors.probabilities.dtype)
        messages = sent.sum()
        # Summed by class first: a pass over the wide probabilities, and none over their product with the code lengths.
        if posteriors.shares is None:
            classes = torch.einsum("tbn,tbnkc->kc", sent, posteriors.probabilities)
            shares = classes.detach()
        else:
            classes = torch.einsum("tbnk,tbnkc->kc", sent.unsqueeze(-1) * posteriors.shares, posteriors.probabilities)
            shares = torch.cat([classes.detach(), messages - classes.detach().sum(-1, keepdim=True)], dim=-1)
        bits = (classes * self.code_bits()).sum() + self._count_bits * messages
        return MessageCost(
            bits=bits / made.sum().clamp(min=1), shares=shares / messages.clamp(min=1), messages=messages
        )

    def penalty(self, cost: MessageCost) -> Tensor:
        """Scalar, weighted."""
        budget = self.settings.budget_bits
        return self.weight * (cost.bits if budget is None else (cost.bits - budget).clamp(min=0))

    def rise(self, updates: int) -> None:
        """To what is asked after so many updates of this training; networks may come from another one, risen."""
        self.weight.fill_(self._weight(updates))

    def see(self, cost: MessageCost) -> None:
        """Take in what was sent in an update, on all ranks."""
        shares, messages = ranks().weighted_mean(cost.shares, cost.messages)
        if messages:
            self.shares.mul_(_KEPT).add_((1 - _KEPT) * shares)
            self.seen.mul_(_KEPT).add_(1 - _KEPT)

    def code_bits(self) -> Tensor:
        """[K, C]: how long each class is written that is said, by `LatentTables.weights`; all alike before anything was
        seen.  Where an id can be left out, it is worth leaving out: no word is shorter than a bit."""
        shares = self.shares[:, :-1] if self.settings.learns_precision else self.shares
        weights = 2 * OBSERVATIONS * shares / self.seen.clamp(min=1 - _KEPT) + 1
        bits = -torch.log2(weights / weights.sum(-1, keepdim=True))
        return bits.clamp(min=1) if self.settings.learns_precision else bits

    def counts(self) -> npt.NDArray[np.int64] | None:
        """[K, C] for tables; None before anything was seen."""
        if not self.seen:
            return None
        counts: npt.NDArray[np.int64] = (
            (OBSERVATIONS * self.shares / self.seen).round().clamp(min=0).long().cpu().numpy()
        )
        return counts

    @property
    def risen(self) -> Tensor:
        """Scalar: 1 once the weight is what it was to become, 0 before."""
        return (self.weight >= self.settings.bits_scale).to(self.weight.dtype)

    def _weight(self, updates: int) -> float:
        settings = self.settings
        risen = min(1.0, updates / settings.anneal_updates) if settings.anneal_updates else 1.0
        return settings.bits_scale * risen
