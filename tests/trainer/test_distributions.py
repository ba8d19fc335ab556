"""Distributions of actions, against torch's own and against the runtime's grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions

from heliograph.actions import ContinuousActions
from trainer.policy.distributions import (
    LARGEST_DEVIATION,
    SMALLEST_DEVIATION,
    ActionDistribution,
    Categorical,
    ChoiceAndVector,
    SquashedGaussian,
)
from trainer.policy.draws import RandomDraws
from trainer.policy.masks import imagined_mask
from trainer.policy.settings import PolicySettings

GAUSSIAN = SquashedGaussian(3, 2**8 - 1)
SPACE = ContinuousActions(low=(-1.0,) * 3, high=(1.0,) * 3)
ROWS = 4000


def drawn(actions: ActionDistribution, outputs: torch.Tensor, *, rows: int = ROWS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return actions.sample(outputs.expand(rows, -1), torch.rand(rows, actions.noise, generator=generator))


def torchs(outputs: torch.Tensor) -> distributions.TransformedDistribution:
    mean, raw = outputs.chunk(2, dim=-1)
    deviation = SMALLEST_DEVIATION + (LARGEST_DEVIATION - SMALLEST_DEVIATION) * torch.sigmoid(raw)
    normal = distributions.Normal(mean, deviation)
    return distributions.TransformedDistribution(normal, distributions.transforms.TanhTransform())


def test_categorical_is_torchs() -> None:
    outputs = torch.randn(5, 7, dtype=torch.float64)
    action = torch.arange(5)
    theirs = distributions.Categorical(logits=outputs)
    torch.testing.assert_close(Categorical(7).log_probability(outputs, action), theirs.log_prob(action))
    torch.testing.assert_close(Categorical(7).entropy(outputs), theirs.entropy())


def every_action(actions: SquashedGaussian) -> torch.Tensor:
    """[L, 1], in order."""
    return (2 * torch.arange(actions.levels).unsqueeze(-1) + (1 - actions.levels)) / actions.levels


def cells(outputs: torch.Tensor, action: torch.Tensor, *, levels: int) -> torch.Tensor:
    """How likely each number [..., k] of an action is, from torch's distribution function alone."""
    inside = 1 - 0.5 / levels  # beyond it are only the bounds themselves, where everything has come
    low, high = (
        torch.where(edge.abs() < inside, torchs(outputs).cdf(edge.clamp(-inside, inside)), (edge > 0).double())
        for edge in (action - 1 / levels, action + 1 / levels)
    )
    return high - low


def test_an_action_is_as_likely_as_its_cell_by_torch() -> None:
    outputs = torch.randn(50, 6, dtype=torch.float64)
    action = GAUSSIAN.sample(outputs, torch.rand(50, 6, dtype=torch.float64))
    torch.testing.assert_close(
        GAUSSIAN.log_probability(outputs, action), cells(outputs, action, levels=GAUSSIAN.levels).log().sum(-1)
    )


def test_narrow_cells_are_as_likely_as_torchs_density_says() -> None:
    """Float32, as in training, where a difference of two tails would be lost."""
    narrow = SquashedGaussian(3, 2**16 - 1)
    outputs = torch.randn(500, 6)
    action = narrow.sample(outputs, torch.rand(500, 6))
    inside = (action.abs() < 0.99).all(-1)
    density = torchs(outputs.double()).log_prob(action.double()).sum(-1) + 3 * math.log(2 / narrow.levels)
    found = narrow.log_probability(outputs, action).double()
    torch.testing.assert_close(found[inside], density[inside], atol=1e-3, rtol=0)


@given(st.floats(-100, 100), st.floats(-10, 10))
def test_all_actions_together_are_certain_wherever_the_mean_lies(mean: float, raw: float) -> None:
    alone = SquashedGaussian(1, 255)
    outputs = torch.tensor([mean, raw], requires_grad=True)
    probability = alone.log_probability(outputs.expand(255, -1), every_action(alone)).exp()
    assert float(probability.sum().detach()) == pytest.approx(1, abs=1e-5)
    probability.max().backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("mean", [-60.0, -4.0, 4.0, 60.0])
def test_a_step_of_a_mean_that_lies_far_out_hardly_changes_how_likely_the_outermost_action_is(mean: float) -> None:
    """By the density at the middle of its cell the ratio would be e^-20 to e^-17,000, and without bound if it nears."""
    alone = SquashedGaussian(1, 255)
    before, after = torch.tensor([mean, -10.0]), torch.tensor([mean * 1.05, -10.0])
    action = drawn(alone, before, rows=1)
    ratio = torch.exp(alone.log_probability(after, action) - alone.log_probability(before, action))
    assert float(ratio) == pytest.approx(1, abs=1e-5)


def test_actions_are_drawn_as_often_as_they_are_likely() -> None:
    alone, outputs = SquashedGaussian(1, 15), torch.tensor([1.2, 0.5])
    places = ((drawn(alone, outputs, rows=40_000) * 15 + 14) / 2).round().long().squeeze(-1)
    found = torch.bincount(places, minlength=15) / 40_000
    torch.testing.assert_close(
        found, alone.log_probability(outputs.expand(15, -1), every_action(alone)).exp(), atol=0.01, rtol=0
    )


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_entropy_is_that_of_the_normal(values: list[float]) -> None:
    outputs = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(GAUSSIAN.entropy(outputs), torchs(outputs).base_dist.entropy().sum())


def test_samples_are_spread_as_the_normal_says() -> None:
    outputs = torch.tensor([-0.8, 0.0, 0.4, 2.0, -1.0, -4.0])
    sampled = torch.atanh(drawn(GAUSSIAN, outputs))
    normal = torchs(outputs).base_dist
    torch.testing.assert_close(sampled.mean(0), normal.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(sampled.std(0), normal.stddev, atol=0.05, rtol=0)


@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6))
def test_every_action_lies_on_the_runtimes_grid(values: list[float]) -> None:
    outputs = torch.tensor(values)
    sampled = torch.cat([drawn(GAUSSIAN, outputs, rows=40), GAUSSIAN.mode(outputs).unsqueeze(0)]).numpy()
    np.testing.assert_array_equal(SPACE.snapped(sampled), sampled)
    assert all((SPACE.unpack(SPACE.pack(action)) == action).all() for action in sampled)
    assert np.isfinite(GAUSSIAN.log_probability(outputs, torch.from_numpy(sampled)).numpy()).all()


def test_the_ends_of_uniform_noise_are_actions_too() -> None:
    """A generator returns zeros, and the noise of a step comes close to 1."""
    for number in (0.0, 1 - 2.0**-24):
        assert GAUSSIAN.sample(torch.zeros(6), torch.full((6,), number)).abs().max() < 1


def test_a_dimension_that_is_not_there_is_zero_for_certain_and_counts_nowhere() -> None:
    available = torch.tensor([True, False, True])
    outputs = GAUSSIAN.masked(torch.tensor([0.5, 0.9, -0.5, 1.0, 1.0, 1.0]), available)
    sampled = drawn(GAUSSIAN, outputs, rows=50)
    assert (sampled[:, 1] == 0).all()
    assert sampled[:, 0].unique().numel() > 5
    alone, pair = SquashedGaussian(2, 255), torch.tensor([0.5, -0.5, 1.0, 1.0])
    torch.testing.assert_close(
        GAUSSIAN.log_probability(outputs, sampled), alone.log_probability(pair, sampled[:, [0, 2]])
    )
    torch.testing.assert_close(GAUSSIAN.entropy(outputs), alone.entropy(pair))


@pytest.mark.parametrize(
    "actions",
    [Categorical(4), GAUSSIAN, ChoiceAndVector(Categorical(4), GAUSSIAN)],
    ids=["one of four", "a vector", "both"],
)
def test_gradients_reach_what_was_put_out(actions: ActionDistribution) -> None:
    outputs = torch.randn(8, actions.outputs, requires_grad=True)
    action = drawn(actions, outputs.detach()[:1], rows=8)
    (actions.log_probability(outputs, action).sum() + actions.entropy(outputs).sum()).backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    assert (outputs.grad != 0).any(0).all()


MIXED = ChoiceAndVector(Categorical(5), SquashedGaussian(2, 255))
CHOOSES = torch.tensor([True] * 4 + [False] + [False] * 2)
GIVES = torch.tensor([True] + [False] * 4 + [True] * 2)


def test_both_together_are_torchs_as_two_that_are_independent() -> None:
    outputs = torch.randn(50, 9, dtype=torch.float64)
    action = MIXED.sample(outputs, torch.rand(50, MIXED.noise, dtype=torch.float64))
    choice, vector = distributions.Categorical(logits=outputs[:, :5]), torchs(outputs[:, 5:])
    torch.testing.assert_close(
        MIXED.log_probability(outputs, action),
        choice.log_prob(action[:, 0]) + cells(outputs[:, 5:], action[:, 1:], levels=255).log().sum(-1),
    )
    torch.testing.assert_close(MIXED.entropy(outputs), choice.entropy() + vector.base_dist.entropy().sum(-1))


@given(st.lists(st.floats(-5, 5), min_size=9, max_size=9))
def test_an_agent_of_a_mixed_team_has_the_distribution_of_its_own_kind(values: list[float]) -> None:
    outputs, generator = torch.tensor(values).repeat(40, 1), torch.Generator().manual_seed(2)
    uniform = torch.rand(40, MIXED.noise, generator=generator)
    logits = Categorical(5).masked(outputs[:, :5], CHOOSES[:5])
    masked = MIXED.masked(outputs, CHOOSES)
    drawn_rows = MIXED.sample(masked, uniform)
    chosen = Categorical(5).sample(logits, uniform[:, :1])
    assert torch.equal(drawn_rows, torch.cat([chosen.float().unsqueeze(-1), torch.zeros(40, 2)], dim=-1))
    torch.testing.assert_close(
        MIXED.log_probability(masked, drawn_rows), Categorical(5).log_probability(logits, chosen)
    )
    torch.testing.assert_close(MIXED.entropy(masked), Categorical(5).entropy(logits))

    pair = SquashedGaussian(2, 255)
    masked = MIXED.masked(outputs, GIVES)
    drawn_rows = MIXED.sample(masked, uniform)
    vector = pair.sample(outputs[:, 5:], uniform[:, 1:])
    assert torch.equal(drawn_rows, torch.cat([torch.zeros(40, 1), vector], dim=-1))
    torch.testing.assert_close(MIXED.log_probability(masked, drawn_rows), pair.log_probability(outputs[:, 5:], vector))
    torch.testing.assert_close(MIXED.entropy(masked), pair.entropy(outputs[:, 5:]))


def test_a_policy_of_one_kind_alone_gets_no_gradient_from_the_other() -> None:
    outputs = torch.randn(8, 9, requires_grad=True)
    available = torch.stack([CHOOSES, GIVES] * 4)
    masked = MIXED.masked(outputs, available)
    action = MIXED.sample(masked.detach(), torch.rand(8, MIXED.noise, generator=torch.Generator().manual_seed(3)))
    (MIXED.log_probability(masked, action).sum() + MIXED.entropy(masked).sum()).backward()
    assert outputs.grad is not None
    reached = outputs.grad.unflatten(0, (4, 2)).abs().amax(0) > 0
    assert reached.int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1, 1]]


def test_networks_read_both_of_an_action() -> None:
    read = MIXED.read(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.5, -0.5]]))
    assert read.tolist() == [[0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0.5, -0.5]]
    assert MIXED.features == read.shape[-1]


def test_nobody_imagines_an_action_of_the_other_kind() -> None:
    mixed = ChoiceAndVector(Categorical(5), SquashedGaussian(2, 255), (False, True))
    wrong = torch.zeros(3, 2, 7)
    wrong[:, 0, 5:], wrong[:, 1, 1:5] = 1.0, 1.0
    wrong[:, 1, 5] = 1.0
    for settings in (PolicySettings(available="sample"), PolicySettings(available="threshold")):
        settings = settings.model_copy(update={"force_available": True})
        mask = imagined_mask(wrong, settings, RandomDraws(torch.Generator().manual_seed(0)), actions=mixed)
        assert mask[:, 0].sum(-1).tolist() == [1] * 3, "the likeliest of its own choices, where none was predicted"
        assert not mask[:, 0, 5:].any()
        assert mask[:, 1].int().tolist() == [[1, 0, 0, 0, 0, 1, 0]] * 3
    assert torch.equal(MIXED.of_each_kind(wrong), wrong), "only masks know"


def test_every_agent_is_left_something_of_its_own_kind() -> None:
    mixed = ChoiceAndVector(Categorical(5), SquashedGaussian(2, 255), (False, True))
    least = torch.full((2, 7), 1e-9)
    least[:, [2, 6]] = 2e-9
    settings = PolicySettings(available="threshold", force_available=True)
    mask = imagined_mask(least, settings, RandomDraws(torch.Generator().manual_seed(0)), actions=mixed)
    assert mask.int().tolist() == [[0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 1]]
