"""Presets of MAZero: what the paper and the script say, what supports must hold, schedules that fit the run."""

from __future__ import annotations

import pytest
import torch

from trainer.algorithms.mazero.supports import Support
from trainer.training.preset import load_settings, preset_names


def test_presets_have_the_values_of_the_paper_and_of_the_released_script() -> None:
    paper, code = (load_settings(f"mazero-smac-3m-{variant}", []) for variant in ("paper", "code"))
    for chosen in (paper.mazero, code.mazero):
        search, targets = chosen.search, chosen.targets
        assert (search.samples, search.simulations, search.decay, search.discount) == (10, 100, 0.8, 0.99)
        assert (chosen.unroll, targets.steps, targets.reanalyse, chosen.target_every) == (5, 5, 1.0, 200)
    assert (paper.mazero.model.frames, code.mazero.model.frames) == (4, 1)
    assert (paper.mazero.optimiser.learning_rate, code.mazero.optimiser.learning_rate) == (1e-4, 5e-4)
    assert (paper.mazero.search.quantile, code.mazero.search.quantile) == (0.75, 0.25)
    losses = [(chosen.mazero.loss.alpha, chosen.mazero.loss.weight_clip) for chosen in (paper, code)]
    assert losses == [(3.0, None), (2.0, 3.0)]
    assert (paper.mazero.loss.two_hot, code.mazero.loss.two_hot) == ("sound", "published")
    # Half an update per step, and nothing but steps in replay.
    for chosen in (paper, code):
        steps = chosen.environment.copies * chosen.schedule.steps_per_iteration
        assert chosen.mazero.updates == steps / 2
        assert (chosen.replay.batch, chosen.replay.absorbing_rows) == (256, 0)


@pytest.mark.parametrize("name", ["mazero-relay", "mazero-relay-sighted"])
def test_the_support_of_relay_holds_standing_on_the_target_for_ever(name: str) -> None:
    chosen = load_settings(name, []).mazero
    step = torch.tensor(0.5 * chosen.targets.reward_scale)
    support = chosen.model.value_support
    assert not Support(low=support.low, high=support.high).beyond(step / (1 - chosen.search.discount))


def test_presets_for_small_machines_look_often_whether_to_stop_and_end_by_steps_where_that_takes_longer() -> None:
    names = [name for name in preset_names() if name.startswith("mazero-")]
    assert not [name for name in names if "football" in name]
    for name in names:
        chosen = load_settings(name, [])
        steps = chosen.environment.copies * chosen.schedule.steps_per_iteration
        assert chosen.mazero.updates == steps / 2, name
        if "smac" not in name and not name.endswith(("-paper", "-code")) and ("smax" not in name or "-cpu" in name):
            assert chosen.mazero.updates <= 20, name
            assert 0 < chosen.evaluation.every * steps <= chosen.schedule.env_steps / 4, name
        assert chosen.schedule.minutes == (170 if name.endswith("-cpu") else 0), name


@pytest.mark.parametrize("game", ["climbing", "penalty", "qtran"])
def test_in_matrix_games_the_sampled_team_judges_which_networks_are_best(game: str) -> None:
    assert load_settings(f"mazero-matrix-{game}", []).evaluation.judged_by == "evaluate/sampled_outcome"


@pytest.mark.parametrize("name", [name for name in preset_names() if name.startswith("mazero-")])
def test_schedules_end_with_the_run(name: str) -> None:
    chosen = load_settings(name, [])
    updates = chosen.schedule.env_steps / 2  # half of one per step
    assert chosen.mazero.priority.correction_updates == updates
    # What a matrix game is worth when it was tried at random is stale at once.
    assert chosen.mazero.targets.stale_after == (50 if "matrix" in name else 0.3 * updates)
