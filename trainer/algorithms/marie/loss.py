"""The losses of MARIE's world model (MARIE §3.2), for all sequences at once.

Axis legend: B segments, L steps, N agents, K tokens of an observation, C codes, A entries of an action mask, m agents
of a sequence, n = N / m sequences of a team, T = m * K tokens of a step of a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.algorithms.marie.model import MarieModel, Predictions
from trainer.algorithms.marie.model_settings import MarieLossSettings
from trainer.algorithms.marie.segments import Segments


@dataclass(frozen=True, kw_only=True)
class MarieLoss:
    """Scalars; `total` is the sum of the terms, of which the reward's has a weight."""

    observation: Tensor
    reward: Tensor
    continuation: Tensor
    available: Tensor | None
    reward_scale: float

    @property
    def terms(self) -> dict[str, Tensor]:
        """By the names of their metrics."""
        found = {"observation": self.observation, "reward": self.reward, "continue": self.continuation}
        return found if self.available is None else found | {"available": self.available}

    @property
    def total(self) -> Tensor:
        weighted = self.terms | {"reward": self.reward_scale * self.reward}
        return torch.stack(list(weighted.values())).sum()


def marie_loss(
    model: MarieModel,
    predictions: Predictions,
    ids: Tensor,
    segments: Segments,
    settings: MarieLossSettings,
) -> MarieLoss:
    """Of what the model predicts for segments with tokens int64 [B, L, N, K]."""
    acted = segments.acted.unsqueeze(-1).expand_as(segments.done)
    goes_on = (~segments.done).to(predictions.continuation.dtype)
    continuation = functional.binary_cross_entropy_with_logits(predictions.continuation, goes_on, reduction="none")
    return MarieLoss(
        observation=_observation_loss(model, predictions.observation, ids, segments, settings),
        reward=_mean(_reward_losses(model, predictions.reward, segments.reward), acted),
        continuation=_mean(continuation, acted),
        available=_available_loss(predictions.available, segments, settings),
        reward_scale=settings.reward_scale,
    )


def _observation_loss(
    model: MarieModel, logits: Tensor, ids: Tensor, segments: Segments, settings: MarieLossSettings
) -> Tensor:
    """Cross entropy of each token, given those before it.

    Logits [B, n, L * T, C]; tokens [B, L, N, K].
    """
    count, steps = ids.shape[:2]
    tokens = ids.reshape(count, steps, -1, model.observed).transpose(1, 2).flatten(2)  # [B, n, L * T]
    losses = functional.cross_entropy(logits[:, :, :-1].flatten(0, 2), tokens[:, :, 1:].flatten(), reduction="none")
    losses = functional.pad(losses.reshape(count, tokens.shape[1], -1), (0, 1))  # nothing follows the last token
    losses = losses.unflatten(2, (steps, -1))  # [B, n, L, T]: the last of a step is of the next one's first token

    published = settings.observation == "published"
    cut = segments.cut.unsqueeze(1)  # [B, 1, L]
    if published and model.members == 1:
        cut = cut | segments.done.transpose(1, 2)
    cut = cut.expand(-1, tokens.shape[1], -1)
    # A closing observation that nobody acted on, and that nothing led to, is of no episode.
    there = (segments.acted | segments.continued).unsqueeze(1).unsqueeze(-1)
    counts = there.expand_as(losses).clone()
    last = torch.ones_like(cut[:, :, :1])
    counts[..., -1] &= ~torch.cat([cut[:, :, :-1], last], dim=2)
    if not published:
        return _mean(losses, counts)
    part = functional.pad(cut[:, :, :-1], (1, 0)).cumsum(2)  # [B, n, L]: which part of the sequence a step is in
    empty = losses.new_zeros(part.shape)
    sums = empty.scatter_add(2, part, (losses * counts).sum(-1))
    sizes = empty.scatter_add(2, part, counts.to(losses.dtype).sum(-1))
    means: Tensor = (sums / sizes.clamp(min=1)).sum(2) / (sizes > 0).sum(2).clamp(min=1)
    return means.mean()


def _reward_losses(model: MarieModel, predicted: Tensor, reward: Tensor) -> Tensor:
    """[B, L, N] of predictions [B, L, N, 1], or of logits."""
    if model.reward_bins is None:
        return functional.smooth_l1_loss(predicted.squeeze(-1), reward, reduction="none")
    return -(model.reward_bins.encode(reward) * functional.log_softmax(predicted, dim=-1)).sum(-1)


def _available_loss(logits: Tensor | None, segments: Segments, settings: MarieLossSettings) -> Tensor | None:
    """Of logits [B, L, N, A], or [B, L, N, A, 2] of two classes."""
    if logits is None:
        return None
    target, counts = segments.next_available, segments.followed
    if settings.available == "published":
        target = target | segments.done.unsqueeze(-1)
    else:
        counts = counts & ~segments.cut
    if logits.dim() > target.dim():
        losses = functional.cross_entropy(logits.flatten(0, 3), target.long().flatten(), reduction="none")
        losses = losses.reshape(target.shape).mean(-1)
    else:
        losses = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none").sum(-1)
    return _mean(losses, counts.unsqueeze(-1).expand_as(losses))


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Over those that count, bool; 0 if none does."""
    weights = counts.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)
