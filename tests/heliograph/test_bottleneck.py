"""Flatland's bottleneck: its rails, what trains know of one another, and the best rules without and with messages."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.environments import registry
from heliograph.environments.flatland.bottleneck_rules import arrived, best_silent
from heliograph.environments.flatland.bottleneck_settings import BottleneckSettings, approach_pairs
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import SettingsError
from heliograph.settings import resolve

pytest.importorskip("flatland")

WORLD = "flatland-bottleneck"
STOP = 2
SMALL: dict[str, Any] = {"passage": 3, "approaches": 2, "slack": 2}


def settings(**parameters: Any) -> BottleneckSettings:
    return resolve(BottleneckSettings, parameters, source="test")


def make(count: int = 1, **parameters: Any) -> VectorEnvironment:
    return registry.make(WORLD, count=count, parameters=parameters)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"width": 12}, "a map of 12 x 9 is too small for a bottleneck of 15 x 5 cells"),
        ({"slack": 0, "passage": 9}, "with slack 0 no two trains with 5 approaches can both pass 9 cells in time"),
        ({"agents": 3}, "agents"),
        ({"malfunction_shortest": 60}, "malfunction_longest 50 is less than malfunction_shortest 60"),
    ],
)
def test_impossible_bottlenecks_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(**parameters)


def play(environment: VectorEnvironment, tries: tuple[int, int], seed: int) -> tuple[float, npt.NDArray[np.int64]]:
    """Share of arrived trains that stop before the points until these steps, and their starts in cells before them."""
    inputs = environment.reset(np.array([seed]))
    team = environment.teams[0]  # type: ignore[attr-defined]  # of this world
    starts = team.rails.merge[team.trains.place] - 1
    step = 0
    while True:
        at_points = (team.rails.merge[team.trains.place] == 2) & team.trains.on_map
        stops = at_points & (step < np.array(tries)) & inputs.action_mask[0, :, STOP]
        transition = environment.step(np.where(stops, STOP, 0)[None])
        inputs, step = transition.agent_inputs, step + 1
        if transition.over[0]:
            return float(transition.outcome[0]), starts.astype(np.int64)


@pytest.mark.slow
def test_what_the_rules_say_of_every_pair_of_waits_is_what_the_simulator_does() -> None:
    environment, small = make(**SMALL), settings(**SMALL)
    seen = set()
    for seed in range(8):
        starts = tuple(play(environment, (0, 0), seed)[1].tolist())
        if starts in seen:
            continue
        seen.add(starts)
        for waits in product(range(small.slack + 2), repeat=2):
            tries = tuple(
                99 if wait > small.slack else start + 1 + wait for start, wait in zip(starts, waits, strict=True)
            )
            assert play(environment, tries, seed)[0] == arrived(small, starts, waits), (starts, waits)
    assert seen == set(approach_pairs(small))


def test_the_best_silent_rules_are_the_best_of_all() -> None:
    small = settings(**SMALL)
    found = best_silent(small)
    assert found is not None
    pairs = approach_pairs(small)
    every = list(product(range(small.slack + 2), repeat=small.approaches))
    value = {
        (first, second): np.mean([arrived(small, pair, (first[pair[0] - 1], second[pair[1] - 1])) for pair in pairs])
        for first in every
        for second in every
    }
    assert found[0] == pytest.approx(max(value.values()))
    assert value[found[1]] == pytest.approx(found[0])


def test_silence_has_a_price_and_the_bound_is_told_only_where_it_holds() -> None:
    spec = make().spec
    assert spec.blind_bound == pytest.approx(0.65)
    assert not spec.blind_bound_measured
    assert spec.episode_limit == 16
    for another in (
        {"sight": None},
        {"malfunction_interval": 50.0},
        {"step_limit": 30},
        {"approaches": 9, "width": 30},
    ):
        assert make(**another).spec.blind_bound is None


@pytest.mark.slow
def test_who_knows_both_starts_always_arrives_and_who_does_not_as_often_as_computed() -> None:
    informed = run_reference(WORLD, "first-come", episodes=20, seed=3, parameters={"rail_seed": None})
    silent = run_reference(WORLD, "silent", episodes=40, seed=3)
    assert informed.outcome.mean() == 1.0
    assert 0.45 < silent.outcome.mean() < 0.85  # 0.65, and a standard error of 0.06


def test_a_train_hears_the_other_from_the_first_step_and_does_not_see_it() -> None:
    environment = make()
    inputs = environment.reset(np.array([5]))
    assert inputs.hears[0].tolist() == [[False, True], [True, False]]
    assert inputs.action_mask[0].tolist() == [[True, False, True]] * 2
    seeing = make(sight=None)
    assert (seeing.reset(np.array([5])).observation == inputs.observation).all()
    differs = False
    for _ in range(6):
        actions = np.zeros((1, 2), dtype=np.int64)
        inputs, seen = environment.step(actions).agent_inputs, seeing.step(actions).agent_inputs
        oncoming = inputs.observation[0, :, 9 + 8]
        assert (oncoming <= 0).all()
        differs |= bool((seen.observation[0, :, 9 + 8] > 0).any())
    assert differs


def test_a_rail_seed_is_a_map_and_its_lengths_are_those_of_all() -> None:
    maps = []
    for rail_seed in range(4):
        environment = make(rail_seed=rail_seed)
        grids = []
        for seed in (1, 2):
            environment.reset(np.array([seed]))
            grids.append(environment.teams[0].rails.grid.copy())  # type: ignore[attr-defined]
        assert (grids[0] == grids[1]).all()
        maps.append(grids[0].tobytes())
        team = environment.teams[0]  # type: ignore[attr-defined]
        assert team.rails.distance[[0, 1], team.trains.place].tolist() == [10.0, 10.0]
    assert len(set(maps)) == 4
    picture = environment.render()
    assert picture.ndim == 3
