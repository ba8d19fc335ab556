"""A curriculum: episodes begin with the value that their place in the run says, a resumed run with the same ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from collecting import Counting, collect, episodes_in

from heliograph.environments import registry
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import SettingsError, WorldError
from heliograph.seeds import episode_seed
from trainer.experience.collector import Collector
from trainer.experience.curriculum import CurriculumSettings
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.training.preset import load_settings

COPIES, LENGTH = 3, 6
CURRICULUM = CurriculumSettings(parameter="arrival_rate", begin=0.0, hold=COPIES * LENGTH, until=3 * COPIES * LENGTH)


def junction(count: int = COPIES) -> VectorEnvironment:
    return registry.make("traffic-junction-easy", count=count, parameters={"length": LENGTH, "arrival_rate": 0.8})


def collector(curriculum: CurriculumSettings | None = CURRICULUM) -> Collector:
    environment = junction()
    replay = Replay(ReplaySettings(capacity=4000, window=4, minimum=1), environment.spec, copies=COPIES, columns={})
    return Collector(environment, Counting(), replay, seed=7, device=torch.device("cpu"), curriculum=curriculum)


def test_a_value_is_held_then_goes_straight_to_its_own_and_stays() -> None:
    rates = CurriculumSettings(parameter="arrival_rate", begin=0.1, hold=100, until=300)
    told = [rates.value(0.3, env_steps) for env_steps in (0, 100, 150, 200, 300, 10_000)]
    assert told == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.3, 0.3])
    assert CurriculumSettings(parameter="arrival_rate", begin=0.5, until=10).value(0.3, 5) == pytest.approx(0.4)


def test_episodes_are_those_of_the_value_at_their_start() -> None:
    """All copies end together, so their k-th episodes begin after k times all their steps."""
    grown = collector()
    collect(grown, 5 * LENGTH)
    alone = junction(1)
    for number, episode in enumerate(episodes_in(grown.replay)):
        rate = [0.0, 0.0, 0.4, 0.8, 0.8, 0.8][number // COPIES]
        alone.vary("arrival_rate", np.array([rate]), np.array([0]))
        seen = alone.reset(np.array([episode_seed(run_seed=7, episode=number)])).observation
        for row in range(episode.steps + 1):
            assert np.array_equal(episode.rows["observation"][row], seen[0])
            if row < episode.steps:
                seen = alone.step(episode.rows["action"][row + 1][None].astype(np.int64)).agent_inputs.observation
        assert bool(episode.rows["observation"].any()) == (rate > 0 and episode.steps > 0)


@pytest.mark.parametrize("done", [0, 4, LENGTH, 2 * LENGTH + 3, 4 * LENGTH + 1])
def test_a_restored_collector_goes_on_with_the_same_values(done: int) -> None:
    saved = collector()
    collect(saved, done)
    state = saved.state()
    arrays = {name: array.copy() for name, array in state.pop("arrays").items()}
    rows = {name: array.copy() for name, array in saved.replay.state().items()}
    restored = collector()
    collect(restored, 2 * LENGTH + 2)  # of no importance
    restored.replay.restore(rows)
    restored.restore(json.loads(json.dumps(state)) | {"arrays": arrays})
    restored.rerun_episodes()
    assert collect(saved, 3 * LENGTH) == collect(restored, 3 * LENGTH)
    one, other = saved.replay.state(), restored.replay.state()
    for copy, written in enumerate(one["written"]):
        for name in ("observation", "reward", "action"):
            assert np.array_equal(one[name][copy, :written], other[name][copy, :written])


def test_an_environment_keeps_its_own_value_until_it_is_told_another() -> None:
    environment, other = junction(), junction()
    assert environment.variable == {"arrival_rate": 0.8}
    other.vary("arrival_rate", np.array([0.0]), np.array([1]))
    seeds = np.arange(COPIES)
    one, two = environment.reset(seeds), other.reset(seeds)
    for _ in range(2):
        assert np.array_equal(one.observation[::2], two.observation[::2])
        assert not two.observation[1].any()
        actions = np.ones((COPIES, 5), dtype=np.int64)
        one, two = environment.step(actions).agent_inputs, other.step(actions).agent_inputs
    assert one.observation[1].any()


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(WorldError, match="must be a probability"):
        junction().vary("arrival_rate", np.array([rate]), np.array([0]))
    with pytest.raises(WorldError, match="has no parameter 'cars' that varies"):
        junction().vary("cars", np.array([3.0]), np.array([0]))


def test_what_cannot_vary_is_refused_in_one_sentence() -> None:
    with pytest.raises(SettingsError, match=r"'size', which traffic-junction-easy cannot change.* is arrival_rate"):
        collector(CurriculumSettings(parameter="size", begin=3, until=10))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"until": 5, "hold": 5}, "until is 5, but the value is held for 5 steps"),
        ({"until": 0}, "greater than 0"),
        ({"begin": "inf"}, "finite number"),
        ({"workers": 2}, "environment.workers = 2 processes cannot be told its values"),
    ],
)
def test_a_curriculum_that_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    values = {"parameter": "'arrival_rate'", "begin": 0.1, "until": 100, **given}
    workers = values.pop("workers", 0)
    overrides = [f"environment.curriculum.{name}={value}" for name, value in values.items()]
    with pytest.raises(SettingsError, match=told):
        load_settings("commnet-traffic-junction-easy", [*overrides, f"environment.workers={workers}"])
