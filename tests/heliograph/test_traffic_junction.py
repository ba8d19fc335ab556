"""Traffic Junction: its roads, its rules against a plain version of them, what cars see and hear, bad parameters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from junction_rules import DOWN_THEN_EAST, DOWN_THEN_WEST, MEDIUM, STRAIGHT_DOWN, Junction
from relay_play import flat, random_actions

from heliograph.environments import registry
from heliograph.environments.reference import run_reference
from heliograph.environments.traffic.environment import TrafficEnvironment
from heliograph.environments.traffic.roads import roads
from heliograph.environments.vector import Transition
from heliograph.errors import SettingsError, WorldError

CASES: list[tuple[str, dict[str, Any]]] = [
    ("easy", {}),
    ("easy", {"cars": 3, "size": 5, "arrival_rate": 0.6, "hears": "range", "range": 2}),
    ("medium", {"vision": 1}),
    ("hard", {"length": 30, "arrival_rate": 0.2}),
]
every_case = pytest.mark.parametrize(("difficulty", "parameters"), CASES, ids=str)


def make(difficulty: str, parameters: dict[str, Any], *, count: int) -> TrafficEnvironment:
    made = registry.make(f"traffic-junction-{difficulty}", count=count, parameters=parameters)
    assert isinstance(made, TrafficEnvironment)
    return made


def paths(environment: TrafficEnvironment) -> list[list[tuple[int, int]]]:
    map_ = environment.roads
    return [
        [tuple(map_.cells[cell].tolist()) for cell in path[:length]]
        for path, length in zip(map_.path, map_.length, strict=True)
    ]


def test_the_roads_are_those_of_the_definition() -> None:
    easy, medium, hard = roads("easy", 7), roads("medium", MEDIUM), roads("hard", 18)
    assert [len(each.length) for each in (easy, medium, hard)] == [2, 12, 56]
    assert [each.entries for each in (easy, medium, hard)] == [2, 4, 8]
    assert [len(each.cells) for each in (easy, medium, hard)] == [13, 52, 128]
    from_the_top = [[tuple(medium.cells[cell].tolist()) for cell in path if cell < 52] for path in medium.path[:3]]
    assert from_the_top == [STRAIGHT_DOWN, DOWN_THEN_WEST, DOWN_THEN_EAST]


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_routes_lead_cell_by_cell_from_border_to_border_and_none_is_another(difficulty: str) -> None:
    every = paths(make(difficulty, {}, count=1))
    last = roads(difficulty, {"easy": 7, "medium": 14, "hard": 18}[difficulty]).size - 1
    assert len({tuple(path) for path in every}) == len(every)
    for path in every:
        assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in itertools.pairwise(path))
        assert all({0, last} & set(end) for end in (path[0], path[-1]))
        assert len(set(path)) == len(path)


@every_case
def test_every_step_is_what_the_rules_say(difficulty: str, parameters: dict[str, Any]) -> None:
    environment = make(difficulty, parameters, count=4)
    agent_inputs = environment.reset(np.arange(10, 14))
    plain = [
        Junction(
            paths(environment),
            slots=environment.spec.agents,
            arrives=environment._arrives[copy].copy(),
            order=environment._slot_order[copy].copy(),
            drawn=environment._drawn_route[copy].copy(),
        )
        for copy in range(4)
    ]
    random, crashes = np.random.default_rng(0), 0
    vision, routes, cells = environment.settings.vision, len(environment.roads.length), environment.roads.cells
    while True:
        going = random.random((4, environment.spec.agents)) < 0.7
        actions = np.where(agent_inputs.action_mask[..., 0] & going, 0, 1)
        transition = environment.step(actions)
        agent_inputs = transition.agent_inputs
        for copy, junction in enumerate(plain):
            expected = junction.step(actions[copy].tolist())
            assert transition.reward[copy] == pytest.approx(expected, abs=1e-5)
            crashes += min(expected) < -5
            for slot, car in enumerate(junction.cars):
                seen = agent_inputs.observation[copy, slot]
                assert agent_inputs.action_mask[copy, slot].tolist() == [car is not None, True]
                if car is None:
                    assert not seen.any()
                    assert not agent_inputs.hears[copy, slot].any()
                    assert not agent_inputs.hears[copy, :, slot].any()
                    continue
                assert seen[0] == car.braked
                assert np.flatnonzero(seen[1 : 1 + routes]).tolist() == [car.route]
                (cell,) = np.flatnonzero(seen[1 + routes : 1 + routes + len(cells)])
                assert tuple(cells[cell].tolist()) == car.cell
                around = [
                    sum(
                        other is not None and other.cell == (car.cell[0] + row, car.cell[1] + column)
                        for other in junction.cars
                    )
                    for row in range(-vision, vision + 1)
                    for column in range(-vision, vision + 1)
                ]
                assert seen[1 + routes + len(cells) :].tolist() == around
        if transition.over.all():
            break
    assert transition.outcome.tolist() == [float(junction.won) for junction in plain]
    assert transition.truncated.all()
    assert not transition.terminated.any()
    assert crashes > 0, "nothing has crashed, so that the rules of crashes were not tried"


@every_case
def test_a_seed_repeats_its_episode_whatever_came_before_and_beside(
    difficulty: str, parameters: dict[str, Any]
) -> None:
    environment = make(difficulty, parameters | {"length": 12}, count=3)

    def played(seeds: list[int]) -> list[Any]:
        random = np.random.default_rng(1)
        history: list[Any] = [environment.reset(np.array(seeds))]
        for _ in range(12):
            shown = history[-1].agent_inputs if isinstance(history[-1], Transition) else history[-1]
            history.append(environment.step(random_actions(shown, random)))
        return history

    first = played([5, 2**62, 7])
    other = played([8, 9, 10])
    again = played([5, 2**62, 7])
    assert all(flat(first, copy=copy) == flat(again, copy=copy) for copy in range(3))
    assert flat(first, copy=0) != flat(other, copy=0)


def test_cars_hear_who_is_on_the_road_and_near() -> None:
    everywhere, near = (make("easy", {"arrival_rate": 0.5, "hears": hears}, count=8) for hears in ("all", "range"))
    for environment in (everywhere, near):
        agent_inputs = environment.reset(np.arange(8))
        assert not agent_inputs.hears.any(), "nobody has arrived yet"
        for _ in range(9):
            agent_inputs = environment.step(np.where(agent_inputs.action_mask[..., 0], 0, 1)).agent_inputs
        distances, on_road = environment.distances(), environment.on_road
        both = on_road[:, :, None] & on_road[:, None] & ~np.eye(5, dtype=bool)
        expected = both if environment is everywhere else both & (distances <= 3)
        assert (agent_inputs.hears == expected).all()
        assert (expected != both).any() == (environment is near)


def test_a_team_that_passes_on_where_it_is_beats_the_best_silent_one() -> None:
    """Cars from the left let cars from the top pass first, and so do all behind them."""
    environment = make("easy", {}, count=300)
    environment.reset(np.arange(300))
    while True:
        place, route, on_road = environment.place, environment.route, environment.on_road
        waits = np.zeros(on_road.shape, dtype=bool)
        for _ in range(5):  # whoever waits makes the one behind it wait
            moved = place + ~waits
            for slot in range(5):
                same = (route == route[:, slot, None]) & (place > place[:, slot, None]) & on_road
                waits[:, slot] |= (same & (moved <= moved[:, slot, None])).any(1)
                crossing = (route == 0) & (moved == 3) & on_road
                waits[:, slot] |= (route[:, slot] == 1) & (place[:, slot] == 2) & crossing.any(1)
        transition = environment.step(np.where(on_road & ~waits, 0, 1))
        if transition.over.all():
            break
    assert environment.spec.blind_bound is not None
    assert transition.outcome.mean() > environment.spec.blind_bound + 0.4


@pytest.mark.slow
def test_the_measured_bound_is_what_the_reference_policy_reaches() -> None:
    spec = make("easy", {}, count=1).spec
    found = run_reference("traffic-junction-easy", "silent", episodes=2000, seed=3).outcome
    assert spec.blind_bound_measured
    assert found.mean() == pytest.approx(spec.blind_bound, abs=4 * (0.3 * 0.7 / 2000) ** 0.5)


@pytest.mark.slow
def test_cars_that_know_where_all_others_are_do_not_crash() -> None:
    assert run_reference("traffic-junction-easy", "yielding", episodes=500, seed=3).outcome.min() == 1.0
    with pytest.raises(WorldError, match="knows one crossing, and these roads are 'medium'"):
        run_reference("traffic-junction-medium", "yielding", episodes=1, seed=3)


def test_a_bound_is_told_only_for_the_world_that_it_was_measured_in() -> None:
    for parameters in ({"vision": 1}, {"cars": 4}, {"arrival_rate": 0.2}):
        assert make("easy", parameters, count=1).spec.blind_bound is None


@pytest.mark.parametrize(
    ("difficulty", "parameters", "sentence"),
    [
        ("easy", {"size": 6}, "size 6 does not fit difficulty 'easy', which needs an odd number of rows"),
        ("medium", {"size": 7}, "size 7 does not fit difficulty 'medium', which needs an even number"),
        ("hard", {"size": 10}, "size 10 does not fit difficulty 'hard', which needs a number of rows from 9"),
        ("easy", {"arrival_rate": 1.5}, "arrival_rate"),
        ("easy", {"cars": 0}, "cars"),
        ("easy", {"range": -1}, "range"),
        ("easy", {"hears": "ring"}, "hears"),
    ],
)
def test_impossible_parameters_are_refused(difficulty: str, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        make(difficulty, parameters, count=1)


def test_a_picture_shows_roads_cars_and_crashes() -> None:
    environment = make("easy", {"arrival_rate": 1.0}, count=1)
    agent_inputs = environment.reset(np.array([0]))
    empty = environment.render()
    for _ in range(4):
        agent_inputs = environment.step(np.where(agent_inputs.action_mask[..., 0], 0, 1)).agent_inputs
    crashed = environment.render()
    assert empty.shape == (7 * 48 + 1, 7 * 48 + 1, 3)
    assert len(np.unique(empty.reshape(-1, 3), axis=0)) == 3  # ground, lines, roads
    assert len(np.unique(crashed.reshape(-1, 3), axis=0)) > 4
