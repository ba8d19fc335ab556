"""Predator-Prey: its rules against a plain version of them, what predators see and hear, bad parameters, the bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from relay_play import flat, random_actions

from heliograph.environments import registry
from heliograph.environments.prey.environment import PreyEnvironment
from heliograph.environments.prey.silence import Silent, towards, ways
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import Transition
from heliograph.errors import SettingsError

CASES: list[tuple[str, dict[str, Any]]] = [
    ("predator-prey-3", {}),
    ("predator-prey-3", {"mode": "mixed", "size": 3, "length": 40}),
    ("predator-prey-3", {"mode": "competitive", "agents": 4, "size": 3, "hears": "range", "range": 1}),
    ("predator-prey-5", {"length": 15}),
]
every_case = pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)


def make(name: str, parameters: dict[str, Any], *, count: int) -> PreyEnvironment:
    made = registry.make(name, count=count, parameters=parameters)
    assert isinstance(made, PreyEnvironment)
    return made


def places(environment: PreyEnvironment) -> np.ndarray:
    """(row, column) of all predators and of the prey [E, N + 1, 2], read from the global state."""
    size = environment.settings.size
    cells = environment.state().reshape(environment.count, -1, size * size).argmax(-1)
    return np.stack(np.divmod(cells, size), axis=-1)


def plain_step(predators: list[list[int]], prey: list[int], actions: list[int], settings: Any) -> list[float]:
    """Moves the predators of one copy, in place, and returns their rewards."""
    for predator, action in zip(predators, actions, strict=True):
        if predator == prey or action == 4:
            continue
        axis, step = {0: (0, -1), 1: (1, 1), 2: (0, 1), 3: (1, -1)}[action]
        if 0 <= predator[axis] + step < settings.size:
            predator[axis] += step
    there = sum(predator == prey for predator in predators)
    worth = {"cooperative": 0.05 * there, "competitive": 0.05 / max(there, 1), "mixed": 0.0}[settings.mode]
    return [worth if predator == prey else -0.05 for predator in predators]


@every_case
def test_every_step_is_what_the_rules_say(name: str, parameters: dict[str, Any]) -> None:
    environment = make(name, parameters, count=6)
    agent_inputs = environment.reset(np.arange(6))
    settings, agents = environment.settings, environment.spec.agents
    began = places(environment)
    plain = [(began[copy, :-1].tolist(), began[copy, -1].tolist()) for copy in range(6)]
    for copy in range(6):
        assert len(np.unique(began[copy], axis=0)) == agents + 1, "all begin in cells of their own"
    random, returns, running = np.random.default_rng(0), np.zeros(6), np.ones(6, dtype=bool)
    for number in range(settings.length):
        actions = random.integers(5, size=(6, agents))
        transition = environment.step(actions)
        agent_inputs = transition.agent_inputs
        for copy in np.flatnonzero(running):
            predators, prey = plain[copy]
            expected = plain_step(predators, prey, actions[copy].tolist(), settings)
            assert transition.reward[copy] == pytest.approx(expected)
            returns[copy] += np.mean(expected)
            now = places(environment)[copy]
            assert now[:-1].tolist() == predators
            assert now[-1].tolist() == prey
            for slot, predator in enumerate(predators):
                assert agent_inputs.observation[copy, slot].tolist() == seen(predator, predators, prey, settings)
            everyone_there = settings.mode == "mixed" and all(predator == prey for predator in predators)
            assert transition.terminated[copy].all() == everyone_there
            assert transition.over[copy] == (everyone_there or number + 1 == settings.length)
            if transition.over[copy]:
                assert transition.outcome[copy] == pytest.approx(returns[copy], abs=1e-5)
        if transition.over.any():
            running &= ~transition.over
            if not running.any():
                return
            environment.reset(np.zeros(int(transition.over.sum()), dtype=int), np.flatnonzero(transition.over))


def seen(predator: list[int], predators: list[list[int]], prey: list[int], settings: Any) -> list[float]:
    around = range(-settings.vision, settings.vision + 1)
    cells = [[predator[0] + row, predator[1] + column] for row in around for column in around]
    own = [float(cell == predator[0] * settings.size + predator[1]) for cell in range(settings.size**2)]
    return [*own, *(float(cell == prey) for cell in cells), *(float(predators.count(cell)) for cell in cells)]


@every_case
def test_a_seed_repeats_its_episode_whatever_came_before(name: str, parameters: dict[str, Any]) -> None:
    environment = make(name, parameters, count=2)

    def played(seeds: list[int]) -> list[Any]:
        random = np.random.default_rng(1)
        history: list[Any] = [environment.reset(np.array(seeds))]
        for _ in range(5):
            shown = history[-1].agent_inputs if isinstance(history[-1], Transition) else history[-1]
            history.append(environment.step(random_actions(shown, random)))
        return history

    first, other, again = played([5, 2**62]), played([8, 9]), played([5, 2**62])
    assert all(flat(first, copy=copy) == flat(again, copy=copy) for copy in range(2))
    assert flat(first, copy=0) != flat(other, copy=0)


def test_hearing_within_a_range_follows_the_distances() -> None:
    environment = make("predator-prey-5", {"hears": "range", "range": 2}, count=5)
    agent_inputs = environment.reset(np.arange(5))
    apart = environment.distances()
    assert (agent_inputs.hears == ((apart <= 2) & ~np.eye(5, dtype=bool))).all()
    assert not environment.spec.complete_graph


@pytest.mark.slow
def test_a_team_that_tells_where_the_prey_is_beats_the_best_silent_one() -> None:
    """Everyone looks for it in its own way, and goes there as soon as one has found it."""
    environment = make("predator-prey-3", {}, count=400)
    policy = Silent(environment, seed=0)
    policy._ways = ways(environment.settings.model_copy(update={"agents": 1}))
    agent_inputs = environment.reset(np.arange(400))
    for _ in range(20):
        found, place = agent_inputs.observation[..., 25].any(1), places(environment)
        known = towards(place[:, -1:] - place[:, :-1])
        transition = environment.step(np.where(found[:, None], known, policy.actions(agent_inputs)))
        agent_inputs = transition.agent_inputs
    assert environment.spec.blind_bound is not None
    assert transition.outcome.mean() > environment.spec.blind_bound + 0.2


@pytest.mark.slow
def test_the_measured_bound_is_what_the_reference_policy_reaches() -> None:
    spec = make("predator-prey-3", {}, count=1).spec
    assert spec.blind_bound_measured
    found = run_reference("predator-prey-3", "silent", episodes=400, seed=3).outcome
    assert found.mean() == pytest.approx(spec.blind_bound, abs=4 * found.std() / 20)
    assert make("predator-prey-3", {"size": 6}, count=1).spec.blind_bound is None


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"agents": 4, "size": 2}, "4 predators and a prey do not each have a cell of a grid of 2 x 2"),
        ({"vision": -1}, "vision"),
        ({"range": -1}, "range"),
        ({"mode": "alone"}, "mode"),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        make("predator-prey-3", parameters, count=1)


def test_a_picture_shows_the_prey_and_changes_with_the_predators() -> None:
    environment = make("predator-prey-3", {}, count=1)
    environment.reset(np.array([0]))
    before = environment.render()
    environment.step(np.array([[0, 1, 2]]))
    assert before.shape == (5 * 48 + 1, 5 * 48 + 1, 3)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) == 3 + 3
    assert (environment.render() != before).any()
