"""What a team can reach in the built-in tasks: the blind bound held by play, and a team that talks always wins."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from relay_play import places, towards

from heliograph.environments import registry
from heliograph.environments.vector import VectorEnvironment


def one_copy_per_case(name: str, parameters: dict[str, Any], *, cases: int) -> tuple[VectorEnvironment, np.ndarray]:
    """An environment and seeds with every combination of targets exactly once."""
    scan = registry.make(name, count=4000, parameters=parameters)
    scan.reset(np.arange(4000))
    targets = places(scan)[1].reshape(4000, -1) if name == "relay" else scan.state()
    _, seeds = np.unique(targets, axis=0, return_index=True)
    assert len(seeds) == cases, "more seeds needed"
    return registry.make(name, count=cases, parameters=parameters), seeds


@pytest.mark.slow
@pytest.mark.arrays
@pytest.mark.parametrize(("cue", "symbols", "agents"), [("next", 3, 2), ("next", 2, 3), ("none", 2, 2), ("own", 2, 2)])
def test_no_deterministic_blind_team_beats_the_bound_of_signal_and_one_reaches_it(
    cue: str, symbols: int, agents: int
) -> None:
    parameters = {"symbols": symbols, "agents": agents, "cue": cue, "length": 1}
    environment, seeds = one_copy_per_case("relay-signal", parameters, cases=symbols**agents)
    rules = list(itertools.product(range(symbols), repeat=symbols))  # from the symbol seen to the symbol played
    best = 0.0
    for team in itertools.product(rules, repeat=agents):
        seen = environment.reset(seeds).observation.argmax(-1)
        actions = np.stack([np.take(team[agent], seen[:, agent]) for agent in range(agents)], axis=1)
        best = max(best, float(environment.step(actions).outcome.mean()))
    assert best == pytest.approx(environment.spec.blind_bound, rel=1e-6)


def test_a_blind_team_reaches_the_bound_of_relay_exactly() -> None:
    environment, seeds = one_copy_per_case("relay", {}, cases=81)
    agent_inputs = environment.reset(seeds)
    for _ in range(6):
        # Everyone walks to the target that it sees, as if it were its own.
        own, cue = agent_inputs.observation[..., :9].argmax(-1), agent_inputs.observation[..., 9:].argmax(-1)
        transition = environment.step(towards(np.stack(np.divmod(own, 3), -1), np.stack(np.divmod(cue, 3), -1)))
        agent_inputs = transition.agent_inputs
    assert transition.outcome.mean() == pytest.approx(environment.spec.blind_bound, rel=1e-6)


@pytest.mark.parametrize("agents", [2, 3, 5])
@pytest.mark.parametrize("hears", ["all", "ring"])
def test_a_team_that_passes_on_what_it_sees_always_wins_relay(agents: int, hears: str) -> None:
    environment = registry.make("relay", count=200, parameters={"agents": agents, "hears": hears})
    agent_inputs = environment.reset(np.arange(200))
    goal = agent_inputs.observation[..., :9].argmax(-1)  # until told, stay
    said = np.full((200, agents), -1)
    informant = (np.arange(agents) - 1) % agents
    for _ in range(6):
        may_hear = agent_inputs.hears[:, np.arange(agents), informant]
        told = said[:, informant]
        goal = np.where(may_hear & (told >= 0), told, goal)
        own = agent_inputs.observation[..., :9].argmax(-1)
        said = agent_inputs.observation[..., 9:].argmax(-1)
        transition = environment.step(towards(np.stack(np.divmod(own, 3), -1), np.stack(np.divmod(goal, 3), -1)))
        agent_inputs = transition.agent_inputs
    assert transition.outcome.tolist() == [1.0] * 200


@pytest.mark.parametrize("agents", [2, 4])
def test_a_team_that_passes_on_what_it_sees_is_right_from_the_second_step_of_signal(agents: int) -> None:
    environment = registry.make("relay-signal", count=100, parameters={"agents": agents, "hears": "ring"})
    agent_inputs = environment.reset(np.arange(100))
    told = np.zeros((100, agents), dtype=int)
    rewards = []
    for _ in range(3):
        transition = environment.step(told)
        rewards.append(transition.reward.mean())
        said = agent_inputs.observation.argmax(-1)
        told = np.stack([said[:, np.flatnonzero(agent_inputs.hears[0, agent])[0]] for agent in range(agents)], axis=1)
        agent_inputs = transition.agent_inputs
    assert rewards[0] < 0.5
    assert rewards[1:] == [1.0, 1.0]
    assert transition.outcome.all()


@pytest.mark.parametrize(
    ("name", "parameters", "bound"),
    [
        ("relay", {}, 1 / 9),
        ("relay", {"agents": 3}, 1 / 81),
        ("relay", {"size": 5}, None),  # six steps do not cross a grid of five
        ("relay", {"size": 5, "length": 8}, 1 / 25),
        ("relay", {"cue": "own"}, 1.0),
        ("relay", {"cue": "none"}, 1 / 81),
        ("relay", {"observation_noise": 0.1}, None),
        ("relay-signal", {}, 1 / 4),
        ("relay-signal", {"agents": 3, "symbols": 3}, 1 / 9),
    ],
)
def test_the_blind_bound_is_given_where_it_is_exact(name: str, parameters: dict[str, Any], bound: float | None) -> None:
    assert registry.make(name, count=1, parameters=parameters).spec.blind_bound == (bound and pytest.approx(bound))
