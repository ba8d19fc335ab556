"""The hidden profile: its rules, teams that pass digits on, the bound of those that do not hear, bad parameters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from relay_play import episode, flat, random_actions

from heliograph.environments import registry
from heliograph.environments.vector import Transition, VectorEnvironment
from heliograph.errors import SettingsError

CASES: list[dict[str, Any]] = [
    {},
    {"agents": 3, "symbols": 2, "delay": 0, "hears": "ring"},
    {"agents": 30, "symbols": 3, "hears": "range", "size": 12},
]
every_case = pytest.mark.parametrize("parameters", CASES, ids=str)


def make(parameters: dict[str, Any], *, count: int) -> VectorEnvironment:
    return registry.make("hidden-profile", count=count, parameters=parameters)


def digits(environment: VectorEnvironment) -> np.ndarray:
    """int [E, N], read from the global state."""
    return environment.state().reshape(environment.count, environment.spec.agents, -1).argmax(-1)


@every_case
def test_every_step_is_what_the_rules_say(parameters: dict[str, Any]) -> None:
    environment = make(parameters, count=5)
    agents, delay = environment.spec.agents, environment.spec.parameters["delay"]
    agent_inputs, random = environment.reset(np.arange(5)), np.random.default_rng(0)
    held, right = digits(environment), [0] * 5
    for step in range(delay + agents):
        for copy, slot in itertools.product(range(5), range(agents)):
            own, digit, asked = np.split(agent_inputs.observation[copy, slot], [agents, -agents])
            assert np.flatnonzero(own).tolist() == [slot]
            assert np.flatnonzero(digit).tolist() == [held[copy, slot]]
            assert np.flatnonzero(asked).tolist() == ([step - delay] if step >= delay else [])
            assert agent_inputs.action_mask[copy, slot].sum() == (environment.spec.actions if slot == 0 else 1)
        actions = random_actions(agent_inputs, random)
        transition = environment.step(actions)
        agent_inputs = transition.agent_inputs
        for copy in range(5):
            good = step >= delay and actions[copy, 0] == held[copy, step - delay]
            assert transition.reward[copy].tolist() == [float(good)] * agents
            right[copy] += int(good)
        assert transition.over.tolist() == [step == delay + agents - 1] * 5
    assert transition.outcome.tolist() == [float(each == agents) for each in right]
    assert transition.truncated.all()


@every_case
def test_a_seed_repeats_its_episode_whatever_came_before(parameters: dict[str, Any]) -> None:
    environment = make(parameters, count=2)
    first = episode(environment, np.array([5, 2**62]), action_seed=0)
    other = episode(environment, np.array([8, 9]), action_seed=0)
    again = episode(environment, np.array([5, 2**62]), action_seed=0)
    assert all(flat(first, copy=copy) == flat(again, copy=copy) for copy in range(2))
    assert flat(first, copy=0) != flat(other, copy=0)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("parameters", [*CASES, {"agents": 30, "hears": "ring"}, {"agents": 30, "hears": "range"}])
def test_a_team_that_passes_on_what_it_hears_always_wins(parameters: dict[str, Any], delay: int) -> None:
    environment = make(parameters | {"delay": delay}, count=20)
    agents = environment.spec.agents
    agent_inputs = environment.reset(np.arange(20))
    held = digits(environment)
    # [E, who, whose]: what each knows; what was known one step ago is what is heard now.
    knows = np.repeat(np.eye(agents, dtype=bool)[None], 20, axis=0)
    for step in range(delay + agents):
        if step:
            knows = knows | (agent_inputs.hears[..., None] & knows[:, None]).any(2)
        asked = max(step - delay, 0)
        guess = np.where(knows[:, 0, asked], held[:, asked], (held[:, asked] + 1) % environment.spec.actions)
        actions = np.zeros((20, agents), dtype=int)
        actions[:, 0] = guess
        transition = environment.step(actions)
        agent_inputs = transition.agent_inputs
    assert transition.outcome.tolist() == [1.0] * 20


@pytest.mark.parametrize(("agents", "symbols"), [(2, 3), (3, 2)])
def test_no_rule_of_a_deaf_decider_beats_the_bound_and_one_reaches_it(agents: int, symbols: int) -> None:
    scan = make({"agents": agents, "symbols": symbols, "delay": 0}, count=500)
    scan.reset(np.arange(500))
    _, seeds = np.unique(digits(scan), axis=0, return_index=True)
    assert len(seeds) == symbols**agents
    environment = make({"agents": agents, "symbols": symbols, "delay": 0}, count=len(seeds))
    best = 0.0
    # What it enters for the digits after its own is a function of its own digit.
    for rule in itertools.product(itertools.product(range(symbols), repeat=agents - 1), repeat=symbols):
        environment.reset(seeds)
        own = digits(environment)[:, 0]
        for step in range(agents):
            actions = np.zeros((len(seeds), agents), dtype=int)
            actions[:, 0] = own if step == 0 else np.array(rule)[own, step - 1]
            transition = environment.step(actions)
        best = max(best, float(transition.outcome.mean()))
    assert best == pytest.approx(environment.spec.blind_bound, rel=1e-6)


def test_who_is_heard() -> None:
    ring = make({"agents": 4, "hears": "ring"}, count=1).reset(np.array([0])).hears[0]
    assert [np.flatnonzero(row).tolist() for row in ring] == [[1], [2], [3], [0]]
    near = make({"agents": 12, "hears": "range", "range": 1}, count=4)
    hears, apart = near.reset(np.arange(4)).hears, near.distances()
    assert apart is not None
    assert (hears == ((apart <= 1) & ~np.eye(12, dtype=bool))).all()
    for slot in range(1, 12):
        assert hears[:, slot, :slot].any(1).all(), "each is near one with a lower number"
    assert make({}, count=1).distances() is None


@pytest.mark.parametrize(
    "parameters", [{"agents": 1}, {"agents": 31}, {"range": 0}, {"range": -1}, {"symbols": 1}, {"hears": "nobody"}]
)
def test_impossible_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(parameters))):
        make(parameters, count=1)


def test_a_picture_shows_the_digits_and_what_was_entered() -> None:
    environment = make({}, count=1)
    environment.reset(np.array([0]))
    before = environment.render()
    for _ in range(2):
        transition = environment.step(np.zeros((1, 4), dtype=int))
    assert isinstance(transition, Transition)
    assert before.shape == (4 * 48 + 1, 4 * 48 + 1, 3)
    assert (environment.render() != before).any()
