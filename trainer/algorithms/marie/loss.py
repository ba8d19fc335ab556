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


@dataclass(frozen=True, kw_only=True)
class LossSizes:
    """Over how many losses each mean is taken, as scalars."""

    observation: Tensor
    acted: Tensor
    available: Tensor


def loss_sizes(model: MarieModel, segments: Segments, settings: MarieLossSettings) -> LossSizes:
    """Of whole segments; those of their parts add up to them."""
    agents = segments.done.shape[2]
    counts = _observation_counts(model, segments, settings)
    sequences = counts.new_tensor(counts.shape[0] * counts.shape[1], dtype=torch.int64)
    return LossSizes(
        observation=sequences if settings.observation == "published" else counts.sum(),
        acted=segments.acted.sum() * agents,
        available=_available_counts(segments, settings).sum() * agents,
    )


def marie_loss(
    model: MarieModel,
    predictions: Predictions,
    ids: Tensor,
    segments: Segments,
    settings: MarieLossSettings,
    sizes: LossSizes,
) -> MarieLoss:
    """Of what the model predicts for segments with tokens int64 [B, L, N, K], as a share of means over `sizes`."""
    goes_on = (~segments.done).to(predictions.continuation.dtype)
    continuation = functional.binary_cross_entropy_with_logits(predictions.continuation, goes_on, reduction="none")
    acted, acted_size = segments.acted.unsqueeze(-1), sizes.acted.clamp(min=1)
    return MarieLoss(
        observation=_observation_sum(model, predictions.observation, ids, segments, settings)
        / sizes.observation.clamp(min=1),
        reward=(_reward_losses(model, predictions.reward, segments.reward) * acted).sum() / acted_size,
        continuation=(continuation * acted).sum() / acted_size,
        available=None
        if predictions.available is None
        else _available_sum(predictions.available, segments, settings) / sizes.available.clamp(min=1),
        reward_scale=settings.reward_scale,
    )


def _observation_counts(model: MarieModel, segments: Segments, settings: MarieLossSettings) -> Tensor:
    """What is to be told by the tokens of a step, bool [B, n, L, T]: by the last of them the next step's first."""
    cut = _observation_cut(model, segments, settings)
    # A closing observation that nobody acted on, and that nothing led to, is of no episode.
    there = (segments.acted | segments.continued)[:, None, :, None]
    counts = there.repeat(1, cut.shape[1], 1, model.observed)
    last = torch.ones_like(cut[:, :, :1])
    counts[..., -1] &= ~torch.cat([cut[:, :, :-1], last], dim=2)
    return counts


def _observation_cut(model: MarieModel, segments: Segments, settings: MarieLossSettings) -> Tensor:
    """After which steps of its sequences a team's tokens begin anew, bool [B, n, L]."""
    cut = segments.cut.unsqueeze(1)
    if settings.observation == "published" and model.members == 1:
        cut = cut | segments.done.transpose(1, 2)
    return cut.expand(-1, model.agents // model.members, -1)


def _observation_sum(
    model: MarieModel, logits: Tensor, ids: Tensor, segments: Segments, settings: MarieLossSettings
) -> Tensor:
    """Cross entropies of tokens, given those before them, of logits [B, n, L * T, C] and tokens [B, L, N, K]; or the
    sum over sequences of the mean over their parts of the mean of each."""
    count, steps = ids.shape[:2]
    tokens = ids.reshape(count, steps, -1, model.observed).transpose(1, 2).flatten(2)  # [B, n, L * T]
    losses = functional.cross_entropy(logits[:, :, :-1].flatten(0, 2), tokens[:, :, 1:].flatten(), reduction="none")
    losses = functional.pad(losses.reshape(count, tokens.shape[1], -1), (0, 1))  # nothing follows the last token
    counts = _observation_counts(model, segments, settings)
    each: Tensor = losses.unflatten(2, (steps, -1)) * counts  # [B, n, L, T]
    if settings.observation == "tokens":
        return each.sum()
    cut = _observation_cut(model, segments, settings)
    part = functional.pad(cut[:, :, :-1], (1, 0)).cumsum(2)  # [B, n, L]: which part of the sequence a step is in
    empty = each.new_zeros(part.shape)
    sums = empty.scatter_add(2, part, each.sum(-1))
    sizes = empty.scatter_add(2, part, counts.to(each.dtype).sum(-1))
    return ((sums / sizes.clamp(min=1)).sum(2) / (sizes > 0).sum(2).clamp(min=1)).sum()


def _reward_losses(model: MarieModel, predicted: Tensor, reward: Tensor) -> Tensor:
    """[B, L, N] of predictions [B, L, N, 1], or of logits."""
    if model.reward_bins is None:
        return functional.smooth_l1_loss(predicted.squeeze(-1), reward, reduction="none")
    return -(model.reward_bins.encode(reward) * functional.log_softmax(predicted, dim=-1)).sum(-1)


def _available_counts(segments: Segments, settings: MarieLossSettings) -> Tensor:
    """At which steps it is learned what is available next, bool [B, L]."""
    return segments.followed if settings.available == "published" else segments.followed & ~segments.cut


def _available_sum(logits: Tensor, segments: Segments, settings: MarieLossSettings) -> Tensor:
    """Of logits [B, L, N, A], or [B, L, N, A, 2] of two classes."""
    target = segments.next_available
    if settings.available == "published":
        target = target | segments.done.unsqueeze(-1)
    if logits.dim() > target.dim():
        losses = functional.cross_entropy(logits.flatten(0, 3), target.long().flatten(), reduction="none")
        losses = losses.reshape(target.shape).mean(-1)
    else:
        losses = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none").sum(-1)
    return (losses * _available_counts(segments, settings).unsqueeze(-1)).sum()
