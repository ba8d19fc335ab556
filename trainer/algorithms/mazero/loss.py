"""The loss of an unrolled model (MAZero §4.4, equations 13 and 14; appendix B.2).

Axis legend: U unrolled steps, V = U + 1 rows from which something is predicted, B windows, K sampled joint actions,
N agents, H width of a hidden state, A actions, C bins of a support.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.settings import MazeroLossSettings
from trainer.algorithms.mazero.supports import Support
from trainer.algorithms.mazero.targets import Targets
from trainer.algorithms.mazero.windows import Steps


@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """What the model says from the first row of a window on, given what was done."""

    hidden: Tensor
    """[V, B, N, H]; row 0 is represented, the others are unrolled."""
    value: Tensor
    """[V, B, C]: logits."""
    policy: Tensor
    """[V, B, N, A]: logits."""
    reward: Tensor
    """[U, B, C]: logits."""


@dataclass(frozen=True, kw_only=True)
class MazeroLoss:
    """Terms per row and window, unweighted; zeros where a term teaches nothing."""

    policy: Tensor
    """[V, B]."""
    value: Tensor
    """[V, B]."""
    reward: Tensor
    """[U, B]."""
    consistency: Tensor
    """[U, B]."""
    per_window: Tensor
    """[B]: the weighted sum of all."""
    total: Tensor
    """Mean over the windows, as the batch weighs them."""


def unroll(model: MazeroModel, steps: Steps, count: int) -> Unrolled:
    """`count` steps from the first rows.

    What flows back from a state and from all that follows it is halved at each step, but not what flows back from the
    reward of that step, so that the dynamics learn from the near more than from the far.
    """
    hidden = model.represent(steps.seen[0])
    states, rewards = [hidden], []
    for action in steps.action[:count]:
        step = model.advance(hidden, action)
        rewards.append(step.reward)
        hidden = _halved(step.hidden)
        states.append(hidden)
    joined = torch.stack(states)
    rows = joined.flatten(0, 1)
    return Unrolled(
        hidden=joined,
        value=model.value_logits(rows).unflatten(0, joined.shape[:2]),
        policy=model.policy_logits(rows).unflatten(0, joined.shape[:2]),
        reward=torch.stack(rewards),
    )


def mazero_loss(
    model: MazeroModel, steps: Steps, unrolled: Unrolled, targets: Targets, settings: MazeroLossSettings
) -> MazeroLoss:
    """All terms of a batch."""
    count = len(unrolled.reward)
    absorbing = steps.over[: count + 1] & (settings.beyond_end == "absorbing")
    value = _cross_entropy(unrolled.value, targets.value, model.value_support, settings)
    value = value * (steps.taken[: count + 1] | absorbing)
    reward = _cross_entropy(unrolled.reward, targets.reward, model.reward_support, settings)
    reward = reward * (steps.taken[:count] | absorbing[:count])
    policy = policy_terms(unrolled.policy, targets, settings)
    consistency = _consistency(model, steps, unrolled)
    if not settings.consistency_beyond_end:
        consistency = consistency * steps.real[1 : count + 1]
    per_window = (
        settings.reward_scale * reward.sum(0)
        + settings.policy_scale * policy.sum(0)
        + settings.value_scale * value.sum(0)
        + settings.consistency_scale * consistency.sum(0)
    )
    return MazeroLoss(
        policy=policy,
        value=value,
        reward=reward,
        consistency=consistency,
        per_window=per_window,
        total=(steps.weight * per_window).mean(),
    )


def policy_weights(targets: Targets, settings: MazeroLossSettings) -> Tensor:
    """[..., K]: what an advantage multiplies the weight of a joint action by."""
    weights = torch.exp(targets.advantage / settings.alpha)
    return weights if settings.weight_clip is None else weights.clamp(max=settings.weight_clip)


def policy_terms(logits: Tensor, targets: Targets, settings: MazeroLossSettings) -> Tensor:
    """[V, B]: minus the log probabilities of sampled joint actions, weighted, under agents' logits [V, B, N, A]."""
    found = targets.policy
    log_policy = torch.log_softmax(logits, dim=-1)  # [V, B, N, A]
    done = found.actions.transpose(-1, -2)  # [V, B, N, K]
    joint = log_policy.gather(-1, done).sum(-2)  # [V, B, K]
    weights = found.ratio if settings.policy == "raw" else found.policy
    if settings.policy != "bc":
        weights = weights * policy_weights(targets, settings)
    return -(torch.where(found.valid, weights, 0.0) * joint).sum(-1)


def _cross_entropy(logits: Tensor, scalars: Tensor, support: Support, settings: MazeroLossSettings) -> Tensor:
    """[...] of logits [..., C] and what they should say [...]."""
    rows = support.two_hot(scalars, published=settings.two_hot == "published")
    return -(rows * torch.log_softmax(logits, dim=-1)).sum(-1)


def _consistency(model: MazeroModel, steps: Steps, unrolled: Unrolled) -> Tensor:
    """[U, B]: how the unrolled states compare with those of what was seen."""
    with torch.no_grad():
        observed = model.represent(steps.seen[1 : len(unrolled.hidden)].flatten(0, 1))
    compared: Tensor = model.consistency(unrolled.hidden[1:].flatten(0, 1), observed)
    return compared.reshape(unrolled.hidden[1:].shape[:2])


def _halved(hidden: Tensor) -> Tensor:
    """The same states, whose gradients are halved on their way back."""
    flat = hidden.flatten(-2)
    if flat.requires_grad:
        flat.register_hook(lambda gradient: gradient / 2)
    return flat.reshape(hidden.shape)
