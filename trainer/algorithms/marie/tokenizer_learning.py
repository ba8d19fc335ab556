"""How a tokenizer learns: one update of codebook and weights at a time (MARIE A.1; AdamW as in the released code).

Axis legend: D observation; [...] any leading axes.
"""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from heliograph.errors import NonFiniteLoss, SettingsError
from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.tokenizer import Tokenizer, TokenizerLoss
from trainer.nets.gradient_steps import gradient_step
from trainer.nets.optimisers import AdamW

logger = logging.getLogger(__name__)

COLLAPSED = 2.0
"""A codebook whose perplexity is below says no more than one bit a token."""


class TokenizerLearner:
    """Owns the optimiser, which checkpoints keep by the name `tokenizer`; there is none where nothing is learned."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """`tokenizer` is on the device that it stays on."""
        self.tokenizer = tokenizer
        settings = tokenizer.settings
        self._optimiser = (
            AdamW(tokenizer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
            if tokenizer.learns
            else None
        )
        self._begun = self._warned = False
        self._chosen = torch.zeros(tokenizer.vocabulary, dtype=torch.bool, device=tokenizer.discretiser.codes.device)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """By name, for checkpoints."""
        return {} if self._optimiser is None else {"tokenizer": self._optimiser}

    def see(self, observation: Tensor, present: Tensor) -> None:
        """Take observations [..., D] of agents that were present, bool [...], into their scale, if there is one, before
        they are learned from."""
        if self.tokenizer.scale is not None:
            self.tokenizer.scale.see(observation, present)

    def update(self, observation: Tensor) -> dict[str, float]:
        """Learn from observations [..., D]; what is worth plotting.

        Raises SettingsError if bins do not reach as far as an observation, NonFiniteLoss before a broken gradient does
        harm.
        """
        tokenizer, settings, discretiser = self.tokenizer, self.tokenizer.settings, self.tokenizer.discretiser
        self.check_range(float(observation.min()), float(observation.max()))
        self._begin(observation)
        loss = tokenizer.loss(observation)
        self._chosen |= loss.chosen > 0
        metrics = _metrics(loss)
        _check_finite(metrics)
        if isinstance(discretiser, Codebook):
            # Before the step, as published: codes follow what the encoder made of this batch.
            metrics["tokenizer/codes_revived"] = float(discretiser.follow(loss.vectors, loss.ids))
            self._warn_of_collapse(metrics)
        if self._optimiser is not None:
            metrics["tokenizer/gradient_norm"] = gradient_step(
                "tokenizer", tokenizer, self._optimiser, loss.total, clip=settings.gradient_clip
            )
        return metrics

    def check_range(self, smallest: float, largest: float) -> None:
        """That bins reach as far as what was observed.  Raises SettingsError."""
        settings = self.tokenizer.settings
        if settings.discretisation != "bins":
            return
        bins = settings.bins
        if smallest < bins.lowest or largest > bins.highest:
            raise SettingsError(
                f"an observation holds {smallest if smallest < bins.lowest else largest:g}, which is outside the bins'"
                f" range [{bins.lowest:g}, {bins.highest:g}]",
                remedy="Widen tokenizer.bins.lowest and tokenizer.bins.highest, or choose tokenizer.discretisation"
                " = vq",
            )

    def codes_in_use(self) -> int:
        """How many codes some vector chose in the updates since this was asked last, of all their batches."""
        found = int(self._chosen.sum())
        self._chosen.zero_()
        return found

    @torch.no_grad()
    def _begin(self, observation: Tensor) -> None:
        """Place the codes of a codebook that has never been placed; whether it has is asked of a device but once."""
        tokenizer, discretiser = self.tokenizer, self.tokenizer.discretiser
        if not self._begun and isinstance(discretiser, Codebook) and not discretiser.begun:
            discretiser.begin(tokenizer.vectors(observation).flatten(0, -2))
        self._begun = True

    def _warn_of_collapse(self, metrics: dict[str, float]) -> None:
        collapsed = metrics["tokenizer/perplexity"] < COLLAPSED
        if collapsed and not self._warned:
            logger.warning(
                "the tokenizer's codebook has collapsed: %d of %d codes chosen in a batch, perplexity %.2f",
                metrics["tokenizer/codes_in_batch"],
                self.tokenizer.vocabulary,
                metrics["tokenizer/perplexity"],
            )
        self._warned = self._warned or collapsed


def _metrics(loss: TokenizerLoss) -> dict[str, float]:
    """All at once, since a device is waited for each time that it is asked."""
    figures = {
        "tokenizer/reconstruction": loss.reconstruction,
        "tokenizer/commitment": loss.commitment,
        "tokenizer/codes_in_batch": loss.codes,
        "tokenizer/perplexity": loss.perplexity,
    }
    told = torch.stack([figure.detach().double() for figure in figures.values()]).tolist()
    return dict(zip(figures, told, strict=True))


def _check_finite(metrics: dict[str, float]) -> None:
    """Before codes follow vectors that are not finite either."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"{name} is {value}: the tokenizer has diverged",
                remedy="Go on with a smaller tokenizer.learning_rate",
            )
