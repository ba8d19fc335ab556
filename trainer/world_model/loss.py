"""The world-model loss (MAMBA §3.1 and its released code).

Axis legend: T time, B windows, N agents, D observation, K categoricals, C classes.

"Pair terms" look at an action: they read the feature [z_{t-1}, h_t], where h_t has seen the action that led to
row t but not yet row t's observation.  The authors call this deliberate; their paper leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.experience.window import Window
from trainer.nets.scaled_head import ScaledHead, TwoHotHead
from trainer.world_model.message_cost import MessageCost
from trainer.world_model.posteriors import LatentModel, Posteriors
from trainer.world_model.settings import LossSettings

KL_EPSILON = 1e-7
"""Inside both logarithms of the KL, as published."""


@dataclass(frozen=True, kw_only=True)
class LossRows:
    """Every term by row and agent, unweighted and not yet averaged."""

    states: dict[str, Tensor]
    """[T', B, N] of the rows whose state terms count: kl, reconstruction and, with action masks, available."""
    pairs: dict[str, Tensor]
    """reward and continue [T-1, B, N] of rows t and t + 1, information [T'-1, B, N]."""
    within: Tensor
    """[T-1, B, N]: 1 where a pair counts, 0 across the border of two episodes."""


@dataclass(frozen=True, kw_only=True)
class WorldModelLoss:
    """Scalars; `total` is the weighted sum of `terms`, which are unweighted."""

    total: Tensor
    terms: dict[str, Tensor]
    messages: MessageCost | None = None
    """What is sent, where its bits are priced."""


def loss_rows(model: LatentModel, window: Window, posteriors: Posteriors, settings: LossSettings) -> LossRows:
    """All terms over a window and its posteriors.  Heads run once over all rows."""
    usable = window.first.shape[0] - settings.drop_last_row  # rows of the state terms
    cut = posteriors.rows(usable)
    state = (cut.ids, cut.deter, cut.probabilities)
    present = window.present[:usable].to(cut.deter.dtype)

    reconstruction, decoder_feature = model.decoder(*state)
    # Pairs (t - 1, t) for t = 1 .. T-1; a first row has no action before it.  The heads run over a T-th pair, of the
    # last row with the first one, which is dropped: cheaper than cutting the wide probabilities on the way back.
    pair = (posteriors.ids, posteriors.foreseen.roll(-1, dims=0), posteriors.probabilities)
    states = {name: balanced_kl(*both, settings) for name, both in model.levels(cut).items()} | {
        "reconstruction": _reconstruction(model, reconstruction, window.observation[:usable], settings) * present,
    }
    if model.available is not None:
        logits = model.available(*state)
        target = window.action_mask[:usable].to(logits.dtype)
        states["available"] = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)
    return LossRows(
        states=states,
        pairs={
            "reward": _reward(model.reward, pair, window.reward[1:], settings),
            "continue": functional.binary_cross_entropy_with_logits(
                model.continuation(*pair).squeeze(-1)[:-1], (~window.terminated[1:]).to(present.dtype), reduction="none"
            ),
            "information": _information(model, decoder_feature[1:], window.action[1:usable]) * present[1:],
        },
        within=torch.ones_like(window.reward[1:]) if settings.across_episodes else _within(window, present),
    )


def term_weights(settings: LossSettings) -> dict[str, float]:
    """Of every term in the total."""
    return {
        "kl": settings.kl_scale,
        "kl_agent": settings.kl_scale,
        "kl_global": settings.kl_scale,
        "reconstruction": settings.reconstruction_scale,
        "reward": settings.reward_scale,
        "continue": settings.continue_scale,
        "information": settings.information_scale,
        "available": settings.available_scale,
    }


def world_model_loss(
    model: LatentModel, window: Window, posteriors: Posteriors, settings: LossSettings
) -> WorldModelLoss:
    """The terms of all rows, averaged; placeholders and pairs across a border are zero, but count in the mean."""
    rows = loss_rows(model, window, posteriors, settings)
    # Pair terms are weighted over all rows, like the means of the others, so that `within` only removes.
    terms = {name: values.mean() for name, values in rows.states.items()} | {
        name: _weighted_mean(values, rows.within[: len(values)]) for name, values in rows.pairs.items()
    }
    terms |= {name: above_free_nats(terms[name], settings) for name in terms if name.startswith("kl")}
    weights = term_weights(settings)
    if (surprise := model.prediction_loss(window, posteriors)) is not None:
        terms["prediction"], weights["prediction"] = surprise, 1.0  # of networks of its own, so its scale is no matter
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return WorldModelLoss(total=total, terms=terms)


class _BalancedDivergence(torch.autograd.Function):
    """KL(q || p) of every categorical, whose gradient is `weight` times that of q and 1 - `weight` times that of p.

    Equal to `weight` * KL(q || sg p) + (1 - `weight`) * KL(sg q || p) in half the passes over the wide tensors.
    """

    @staticmethod
    def forward(ctx: Any, posterior: Tensor, prior: Tensor, weight: float) -> Tensor:
        # In place and without a second logarithm: these tensors are a thousand wide, and every pass counts.
        log_ratio = (posterior + KL_EPSILON).div_(prior + KL_EPSILON).log_()
        ctx.save_for_backward(posterior, prior, log_ratio)
        ctx.weight = weight
        return torch.einsum("...c,...c->...", posterior, log_ratio)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        posterior, prior, log_ratio = ctx.saved_tensors
        gradient = gradient.unsqueeze(-1)
        to_posterior = posterior + KL_EPSILON
        torch.div(posterior, to_posterior, out=to_posterior).add_(log_ratio).mul_(ctx.weight * gradient)
        to_prior = prior + KL_EPSILON
        torch.div(posterior, to_prior, out=to_prior).mul_((ctx.weight - 1) * gradient)
        return to_posterior, to_prior, None


def balanced_kl(posterior: Tensor, prior: Tensor, settings: LossSettings) -> Tensor:
    """Balanced KL [...] of probabilities [..., K, C], reduced over K as the settings say."""
    divergence: Tensor = _BalancedDivergence.apply(  # type: ignore[no-untyped-call]  # torch gives it no types
        posterior, prior, settings.kl_posterior
    )
    return divergence.mean(-1) if settings.kl_reduce == "mean" else divergence.sum(-1)


def above_free_nats(divergence: Tensor, settings: LossSettings) -> Tensor:
    """The mean KL, which trains nothing while it is small."""
    return divergence.clamp(min=settings.kl_free_nats) if settings.kl_free_nats else divergence


def _within(window: Window, like: Tensor) -> Tensor:
    """1 at pairs inside one episode, [T-1, B, N]."""
    inside = (~window.first[1:]).to(like.dtype)
    return inside.unsqueeze(-1).expand(window.reward[1:].shape)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1)


def _reward(head: nn.Module, pair: tuple[Tensor, ...], target: Tensor, settings: LossSettings) -> Tensor:
    if isinstance(head, TwoHotHead):
        return head.loss(head.network(*pair)[:-1], target)
    predicted: Tensor = head(*pair).squeeze(-1)[:-1]
    if isinstance(head, ScaledHead):
        predicted, target = head.scale.to_scale(predicted), head.scale.to_scale(target)
    if settings.reward_loss == "squared":
        return (predicted - target).square()
    return functional.smooth_l1_loss(predicted, target, reduction="none")


def _reconstruction(model: LatentModel, predicted: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    """Summed over D, as published; averaged where observations have a scale."""
    scale = model.observation_scale
    if scale is not None:
        target = scale.to_scale(target)
    if settings.reconstruction_loss == "bernoulli":
        error = functional.binary_cross_entropy_with_logits(predicted, target, reduction="none")
    elif settings.reconstruction_loss == "squared":
        error = (predicted - target).square()
    else:
        error = functional.smooth_l1_loss(predicted, target, reduction="none")
    return error.sum(-1) if scale is None else error.mean(-1)


def _information(model: LatentModel, feature: Tensor, action: Tensor) -> Tensor:
    """Negative log-likelihood of the last action given the decoder feature [T', B, N, H]."""
    return -model.actions.log_probability(model.information(feature), action)
