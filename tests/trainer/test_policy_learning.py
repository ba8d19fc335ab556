"""Lambda-returns, PPO's clip and the balanced KL against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from trainer.policy.actor_critic import make_actor
from trainer.policy.distributions import ILLEGAL_LOGIT, Categorical
from trainer.policy.ppo import PolicyBatch, actor_loss
from trainer.policy.returns import lambda_returns
from trainer.world_model.loss import above_free_nats, balanced_kl
from trainer.world_model.settings import LossSettings, WorldModelSettings

Rollout = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """Rewards [H, 2], continuations [H, 2] and values [H + 1, 2]."""
    horizon = draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    reward = torch.randn(horizon, 2, generator=generator, dtype=torch.float64)
    continuation = torch.rand(horizon, 2, generator=generator, dtype=torch.float64)
    return reward, continuation, torch.randn(horizon + 1, 2, generator=generator, dtype=torch.float64)


def n_step_return(rollout: Rollout, start: int, steps: int, discount: float) -> torch.Tensor:
    reward, continuation, value = rollout
    total, weight = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for step in range(start, start + steps):
        total = total + weight * reward[step]
        weight = weight * discount * continuation[step]
    return total + weight * value[start + steps]


@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40)
def test_lambda_returns_are_the_mixture_of_all_n_step_returns(rollout: Rollout, discount: float, trace: float) -> None:
    horizon = rollout[0].shape[0]
    ours = lambda_returns(*rollout, discount=discount, trace=trace)
    for start in range(horizon):
        left = horizon - start
        mixture = trace ** (left - 1) * n_step_return(rollout, start, left, discount)
        for steps in range(1, left):
            mixture = mixture + (1 - trace) * trace ** (steps - 1) * n_step_return(rollout, start, steps, discount)
        torch.testing.assert_close(ours[start], mixture, rtol=1e-10, atol=1e-10)


@given(rollouts())
def test_the_limits_of_the_trace_are_one_step_and_monte_carlo_returns(rollout: Rollout) -> None:
    horizon = rollout[0].shape[0]
    for start in range(horizon):
        for trace, steps in ((0.0, 1), (1.0, horizon - start)):
            ours = lambda_returns(*rollout, discount=0.9, trace=trace)[start]
            torch.testing.assert_close(ours, n_step_return(rollout, start, steps, 0.9), rtol=1e-12, atol=1e-12)


def test_nothing_counts_after_the_end_of_an_agents_future() -> None:
    reward = torch.tensor([[1.0], [2.0], [100.0]])
    continuation = torch.tensor([[1.0], [0.0], [1.0]])
    returns = lambda_returns(reward, continuation, torch.full((4, 1), 50.0), discount=0.5, trace=1.0)
    assert returns[:, 0].tolist() == [2.0, 2.0, 125.0]


def batch_with_ratio(ratio: float, advantage: float) -> tuple[torch.nn.Module, PolicyBatch]:
    """One agent, one row, whose present probability is `ratio` times the acting one."""
    torch.manual_seed(0)
    actor = make_actor(
        WorldModelSettings(hidden=8, recurrent=4, categoricals=2, classes=4, heads=1), outputs=3
    ).double()
    ids, deter = torch.tensor([[[1, 2]]]), torch.randn(1, 1, 4, dtype=torch.float64)
    action = torch.tensor([[1]])
    present = torch.log_softmax(actor(ids, deter), dim=-1)[..., 1].detach()
    batch = PolicyBatch(
        features=(ids, deter),
        action=action,
        available=None,
        old_log_probability=present - math.log(ratio),
        returns=torch.zeros(1, 1, dtype=torch.float64),
        advantage=torch.full((1, 1), advantage, dtype=torch.float64),
    )
    return actor, batch


@pytest.mark.parametrize(
    ("ratio", "advantage", "learns"),
    [
        (1.0, 1.0, True),
        (1.19, 1.0, True),
        (1.21, 1.0, False),
        (1.21, -1.0, True),
        (0.81, -1.0, True),
        (0.79, -1.0, False),
        (0.79, 1.0, True),
    ],
)
def test_the_gradient_is_zero_where_the_ratio_has_left_the_clip_range_the_way_it_pays(
    ratio: float, advantage: float, learns: bool
) -> None:
    actor, batch = batch_with_ratio(ratio, advantage)
    loss = actor_loss(actor, batch, Categorical(3), clip=0.2, entropy_scale=0.0)
    limit = min(max(ratio, 0.8), 1.2)
    assert loss.policy.item() == pytest.approx(-min(ratio * advantage, limit * advantage))
    assert loss.clipped.item() == float(abs(ratio - 1) > 0.2)
    gradients = torch.autograd.grad(loss.loss, list(actor.parameters()))
    assert (max(float(gradient.abs().max()) for gradient in gradients) > 1e-6) == learns


def test_the_gradient_inside_the_range_is_that_of_the_policy_gradient() -> None:
    actor, batch = batch_with_ratio(1.0, 0.7)
    ours = torch.autograd.grad(
        actor_loss(actor, batch, Categorical(3), clip=0.2, entropy_scale=0.0).loss, list(actor.parameters())
    )
    chosen = distributions.Categorical(logits=actor(*batch.features)).log_prob(batch.action)
    theirs = torch.autograd.grad(-0.7 * chosen.mean(), list(actor.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_entropy_is_over_legal_actions_alone() -> None:
    actor, batch = batch_with_ratio(1.0, 0.0)
    masked = PolicyBatch(**vars(batch) | {"available": torch.tensor([[[True, True, False]]])})
    loss = actor_loss(actor, masked, Categorical(3), clip=0.2, entropy_scale=0.5)
    logits = actor(*batch.features).detach()
    expected = distributions.Categorical(logits=logits[..., :2]).entropy().mean()
    assert loss.entropy.item() == pytest.approx(expected.item())
    assert loss.loss.item() == pytest.approx(loss.policy.item() - 0.5 * expected.item(), abs=1e-9)
    assert torch.softmax(torch.tensor([0.0, ILLEGAL_LOGIT]), dim=-1)[1] == 0


@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("weight", [0.0, 0.2, 0.8])
def test_the_balanced_kl_and_its_gradients_are_those_of_two_stopped_divergences(reduce: str, weight: float) -> None:
    torch.manual_seed(0)
    logits = [torch.randn(5, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    posterior, prior = (torch.softmax(each, dim=-1) for each in logits)
    loss_settings = LossSettings(kl_posterior=weight, kl_reduce=reduce)
    ours = balanced_kl(posterior, prior, loss_settings).mean()

    def divergence(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        each = distributions.kl_divergence(
            distributions.Categorical(logits=q), distributions.Categorical(logits=p)
        )  # [5, 2, 3]
        return (each.mean(-1) if reduce == "mean" else each.sum(-1)).mean()

    q, p = logits
    stopped = weight * divergence(q, p.detach()) + (1 - weight) * divergence(q.detach(), p)
    torch.testing.assert_close(ours, stopped, rtol=1e-5, atol=1e-6)  # the published epsilon is in ours
    for one, other in zip(torch.autograd.grad(ours, logits), torch.autograd.grad(stopped, logits), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_below_the_free_nats_the_kl_trains_nothing() -> None:
    logits = torch.tensor([[[0.0, 0.1]]], requires_grad=True)
    prior = torch.full((1, 1, 2), 0.5)
    loss_settings = LossSettings(kl_posterior=1.0, kl_free_nats=1.0)
    kl = above_free_nats(balanced_kl(torch.softmax(logits, dim=-1), prior, loss_settings).mean(), loss_settings)
    assert kl.item() == 1.0
    assert torch.autograd.grad(kl, logits)[0].abs().max() == 0
