"""The world model over windows: what resets at first rows, what each loss term looks at, and message dropout."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from trainer.experience.window import Window
from trainer.policy.distributions import Categorical
from trainer.world_model.loss import WorldModelLoss, world_model_loss
from trainer.world_model.model import Posteriors, WorldModel
from trainer.world_model.settings import LossSettings, WorldModelSettings

TIME, BATCH, AGENTS, OBSERVATION, ACTIONS = 6, 3, 3, 5, 4
BOUNDARY = 3
"""Row of the windows below at which the next episode begins."""


def model_of(**changes: object) -> WorldModel:
    torch.manual_seed(0)
    sizes = {"hidden": 12, "recurrent": 8, "categoricals": 3, "classes": 4, "heads": 2, "communication_layers": 2}
    model = WorldModel(
        WorldModelSettings.model_validate({**sizes, "dropout": 0.0, "posterior_scale": 5.0, **changes}),
        agents=AGENTS,
        observation_size=OBSERVATION,
        actions=Categorical(ACTIONS),
        action_masks=True,
    )
    return model.double().eval()


def window_of(*, length: int = TIME, boundary: int | None = BOUNDARY, hears: bool = True, seed: int = 1) -> Window:
    generator = torch.Generator().manual_seed(seed)
    shape = (length, BATCH, AGENTS)
    first = torch.zeros(length, BATCH, dtype=torch.bool)
    first[0] = True
    if boundary is not None:
        first[boundary] = True
    graph = torch.rand(*shape, AGENTS, generator=generator) < 0.5
    return Window(
        observation=torch.randn(*shape, OBSERVATION, generator=generator, dtype=torch.float64),
        action_mask=torch.rand(*shape, ACTIONS, generator=generator) < 0.7,
        hears=graph & ~torch.eye(AGENTS, dtype=torch.bool) if hears else None,
        present=torch.ones(shape, dtype=torch.bool),
        first=first,
        action=torch.randint(ACTIONS, shape, generator=generator),
        reward=torch.randn(shape, generator=generator, dtype=torch.float64),
        terminated=torch.rand(shape, generator=generator) < 0.3,
    )


def likeliest(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.argmax(-1)


def changed(window: Window, name: str, row: int) -> Window:
    """The window with another value of one field in one row."""
    value = getattr(window, name).clone()
    if value.dtype is torch.bool:
        value[row] = ~value[row]
    elif value.dtype is torch.int64:
        value[row] = (value[row] + 1) % ACTIONS
    else:
        value[row] = value[row] + 1
    return replace(window, **{name: value})


def from_boundary(window: Window) -> Window:
    tensors = {name: value for name, value in vars(window).items() if isinstance(value, torch.Tensor)}
    return replace(window, **{name: value[BOUNDARY:] for name, value in tensors.items()})


@pytest.mark.parametrize("hears", [True, False], ids=["graph", "complete"])
def test_after_an_episode_boundary_a_window_goes_on_as_a_fresh_one(hears: bool) -> None:
    model, window = model_of(), window_of(hears=hears)
    crossing = model.observe(window, likeliest)
    fresh = model.observe(from_boundary(window), likeliest)
    assert torch.equal(crossing.ids[BOUNDARY:], fresh.ids)
    torch.testing.assert_close(crossing.deter[BOUNDARY:], fresh.deter, rtol=0, atol=1e-12)
    torch.testing.assert_close(crossing.probabilities[BOUNDARY:], fresh.probabilities, rtol=0, atol=1e-12)
    without = replace(window, first=torch.zeros_like(window.first))
    assert not torch.allclose(model.observe(without, likeliest).deter[BOUNDARY], fresh.deter[0])


@pytest.mark.parametrize("field", ["observation", "action"])
def test_nothing_of_the_episode_before_reaches_a_first_row(field: str) -> None:
    model, window = model_of(), window_of()
    deter = model.observe(window, likeliest).deter
    for row in range(BOUNDARY):
        other = model.observe(changed(window, field, row), likeliest).deter
        assert torch.equal(other[BOUNDARY:], deter[BOUNDARY:])
        # The action of the very first row is of no step of this window; what is seen in the last one has no next row.
        unread = {"action": 0, "observation": BOUNDARY - 1}[field]
        assert torch.equal(other[row:BOUNDARY], deter[row:BOUNDARY]) == (row == unread)


@pytest.mark.parametrize("reset", [True, False])
def test_the_action_of_a_first_row_enters_only_as_published(reset: bool) -> None:
    model, window = model_of(), window_of()
    deter = model.observe(window, likeliest, reset_action_on_first=reset).deter
    other = model.observe(changed(window, "action", BOUNDARY), likeliest, reset_action_on_first=reset).deter
    assert torch.equal(other[BOUNDARY], deter[BOUNDARY]) == reset


def test_a_window_that_starts_inside_an_episode_uses_its_first_action() -> None:
    model, window = model_of(), window_of(boundary=None)
    inside = replace(window, first=torch.zeros_like(window.first))
    deter = model.observe(inside, likeliest).deter
    other = model.observe(changed(inside, "action", 0), likeliest).deter
    assert not torch.equal(other[0], deter[0])


def test_recorded_neighbours_matter_unless_the_settings_leave_them_out() -> None:
    window = window_of()
    everyone = replace(window, hears=None)
    for used in (True, False):
        model = model_of(train_with_neighbours=used)
        same = torch.equal(model.observe(window, likeliest).deter, model.observe(everyone, likeliest).deter)
        assert same == (not used)


@pytest.mark.parametrize("hears", [True, False], ids=["graph", "complete"])
def test_message_dropout_works_in_training_alone(hears: bool) -> None:
    window = window_of(hears=hears)
    model, plain = model_of(message_dropout=0.5), model_of()
    assert torch.equal(model.observe(window, likeliest).deter, plain.observe(window, likeliest).deter)
    model.train()
    runs = [model.observe(window, likeliest).deter for _ in range(2)]
    assert not torch.equal(*runs)


def test_with_every_message_dropped_agents_are_alone() -> None:
    window = window_of(hears=False)
    model = model_of(message_dropout=1.0).train()
    alone = replace(window, hears=torch.zeros(TIME, BATCH, AGENTS, AGENTS, dtype=torch.bool))
    torch.testing.assert_close(
        model.observe(window, likeliest).deter, model.eval().observe(alone, likeliest).deter, rtol=0, atol=1e-12
    )


def loss_with(window: Window, posteriors: Posteriors, model: WorldModel, **settings: object) -> WorldModelLoss:
    return world_model_loss(model, window, posteriors, LossSettings.model_validate(settings))


def terms_that_notice(field: str, row: int, **settings: object) -> set[str]:
    """Which loss terms change with a target in one row, under the same posteriors."""
    model, window = model_of(), window_of()
    posteriors = model.observe(window, likeliest)
    before, after = (loss_with(each, posteriors, model, **settings) for each in (window, changed(window, field, row)))
    return {name for name, term in before.terms.items() if not torch.equal(term, after.terms[name])}


@pytest.mark.parametrize(
    ("field", "term"), [("reward", "reward"), ("terminated", "continue"), ("action", "information")]
)
def test_pair_terms_ignore_first_rows_by_default_and_look_at_them_as_published(field: str, term: str) -> None:
    assert terms_that_notice(field, BOUNDARY) == set()
    assert terms_that_notice(field, BOUNDARY, across_episodes=True) == {term}
    assert terms_that_notice(field, BOUNDARY + 1) == {term}
    assert terms_that_notice(field, 0, across_episodes=True) == set(), "row 0 of a window has no pair"


def test_state_terms_look_at_first_rows() -> None:
    assert terms_that_notice("observation", BOUNDARY) == {"reconstruction"}
    assert terms_that_notice("action_mask", BOUNDARY) == {"available"}


def test_a_dropped_last_row_is_in_the_pair_terms_alone() -> None:
    last = TIME - 1
    assert terms_that_notice("observation", last, drop_last_row=True) == set()
    assert terms_that_notice("reward", last, drop_last_row=True) == {"reward"}
    assert terms_that_notice("observation", last) == {"reconstruction"}


def test_placeholders_are_out_of_the_reconstruction_and_of_the_information_term() -> None:
    model, window = model_of(), window_of()
    absorbed = window.present.clone()
    absorbed[4:] = False
    window = replace(window, present=absorbed)
    posteriors = model.observe(window, likeliest)
    before = loss_with(window, posteriors, model)
    for field, seen in (("observation", set()), ("action", set()), ("reward", {"reward"})):
        after = loss_with(changed(window, field, 5), posteriors, model)
        assert {name for name in before.terms if not torch.equal(before.terms[name], after.terms[name])} == seen


def test_the_total_is_the_weighted_sum_of_its_terms() -> None:
    model, window = model_of(), window_of()
    posteriors = model.observe(window, likeliest)
    names = ("kl", "reconstruction", "reward", "continue", "information", "available")
    weights = {f"{name}_scale": float(place + 1) for place, name in enumerate(names)}
    loss = loss_with(window, posteriors, model, **weights)
    assert set(loss.terms) == set(names)
    assert min(float(term.detach()) for term in loss.terms.values()) > 0
    expected = sum(weights[f"{name}_scale"] * loss.terms[name] for name in names)
    torch.testing.assert_close(loss.total, expected)


def test_the_kl_can_be_reduced_by_sum_which_weighs_it_by_the_number_of_categoricals() -> None:
    model, window = model_of(), window_of()
    posteriors = model.observe(window, likeliest)
    mean, total = (loss_with(window, posteriors, model, kl_reduce=kind).terms["kl"] for kind in ("mean", "sum"))
    torch.testing.assert_close(3 * mean, total)


def test_a_uniform_mix_bounds_every_class_from_below() -> None:
    probabilities = model_of(uniform_mix=0.2).observe(window_of(), likeliest).probabilities.detach()
    assert float(probabilities.min()) >= 0.2 / 4
    torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities[..., 0]))
