"""What predicts a row from the one before does not read whom the agents hear in it, which is that row's news.

A train that has arrived hears nobody, so that a reward head that looks at whom it hears tells every arrival, and waits
in imagination for a sign that never comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_dreamers import SPEC, STEPS, WINDOWS, batch, made, mag, mamba

from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mamba.mamba import Mamba
from trainer.experience.window import Window
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws
from trainer.world_model.loss import LossSettings, world_model_loss

CHANGED = 3
"""Row in which other agents are heard."""
WAYS = {"shared": {}, "own": {"shared": False}}
ways = pytest.mark.parametrize("model", WAYS.values(), ids=WAYS)


def windows() -> tuple[Window, Window]:
    """The same but for whom the agents hear in one row."""
    random = torch.Generator().manual_seed(3)
    hears = torch.rand(STEPS, WINDOWS, SPEC.agents, SPEC.agents, generator=random) < 0.5
    hears |= torch.eye(SPEC.agents, dtype=torch.bool)
    other = hears.clone()
    other[CHANGED] ^= ~torch.eye(SPEC.agents, dtype=torch.bool)
    return replace(batch(), hears=hears), replace(batch(), hears=other)


def team(make: Callable[..., Dreamer], model: dict[str, bool], **parts: dict[str, object]) -> Mamba:
    learner = made(make, {"model": {"posterior_scale": 20.0, **model}, **parts})
    assert isinstance(learner, Mamba)
    learner.draws = GreedyDraws()
    return learner


@ways
@pytest.mark.parametrize("make", [mamba, mag], ids=["mamba", "mag"])
def test_predictions_do_not_change_with_whom_agents_hear_in_the_row_that_is_predicted(
    make: Callable[..., Dreamer], model: dict[str, bool]
) -> None:
    learner = team(make, model)
    learner.model_update_count = 1  # before that it predicts nothing
    one, other = (learner.predict(window, GreedyDraws()) for window in windows())
    assert one is not None
    assert other is not None
    before = CHANGED - 1
    for name in ("reward", "continuation"):
        same, changed = getattr(one, name), getattr(other, name)
        assert torch.equal(same[: before + 1], changed[: before + 1]), "of the row, and of those before"
        assert not torch.allclose(same[CHANGED], changed[CHANGED]), "what is heard matters from then on"


@ways
def test_what_is_foreseen_is_what_imagination_makes_of_the_row_before(model: dict[str, bool]) -> None:
    learner = team(mamba, model)
    window, _ = windows()
    posteriors = learner.model.observe(window, GreedyDraws().latent)
    assert posteriors.ahead is not None
    world = learner.imagination()
    goes_on = ~window.first[1:].flatten()
    start = learner.starts(window, posteriors, slice(STEPS - 1), learner.draws)
    imagined = world.transition(start, window.action[1:].flatten(0, 1))
    torch.testing.assert_close(imagined.deter[goes_on], posteriors.ahead[1:].flatten(0, 1)[goes_on])
    assert not torch.allclose(imagined.deter[goes_on], posteriors.deter[1:].flatten(0, 1)[goes_on])
    _, prior = learner.model.levels(posteriors)["kl"]
    torch.testing.assert_close(imagined.prior[goes_on], prior[1:].flatten(0, 1)[goes_on])


def test_an_episodes_first_row_is_foreseen_as_it_is() -> None:
    learner = team(mamba, {})
    window, _ = windows()
    posteriors = learner.model.observe(window, GreedyDraws().latent)
    assert posteriors.ahead is not None
    begins = window.first.clone()
    begins[0] = True  # nothing is known of the row before a window
    torch.testing.assert_close(posteriors.ahead[begins], posteriors.deter[begins])
    assert not torch.allclose(posteriors.ahead[~begins], posteriors.deter[~begins])


@pytest.mark.parametrize(
    "model", [{"train_with_neighbours": False}, {"imagine_with_neighbours": False}], ids=["published", "all heard"]
)
def test_where_imagination_holds_no_neighbours_nothing_else_is_foreseen(model: dict[str, bool]) -> None:
    learner = team(mamba, model)
    posteriors = learner.model.observe(windows()[0], GreedyDraws().latent)
    assert posteriors.ahead is None
    assert posteriors.foreseen is posteriors.deter


def test_the_loss_of_a_pair_and_the_prior_are_of_what_is_foreseen() -> None:
    learner = team(mamba, {})
    for window in windows():
        posteriors = learner.model.observe(window, GreedyDraws().latent)
        assert posteriors.ahead is not None
        settings = LossSettings()
        terms = world_model_loss(learner.model, window, posteriors, settings).terms
        moved = replace(posteriors, ahead=posteriors.ahead + 0.5)
        other = world_model_loss(learner.model, window, moved, settings).terms
        changed = {name for name in terms if not torch.allclose(terms[name], other[name])}
        assert changed == {"kl", "reward", "continue"}


def test_what_tells_errors_sees_what_imagination_will_show_it() -> None:
    learner = team(mag, {})
    assert isinstance(learner, Mag)
    seen: list[torch.Tensor] = []
    learner.error_predictor.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    window, _ = windows()
    learner.update_predictor(window, Means())
    posteriors = learner.model.observe(window, GreedyDraws().latent)
    assert posteriors.ahead is not None
    torch.testing.assert_close(seen[0], posteriors.ahead[:-1])
