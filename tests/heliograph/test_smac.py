"""SMAC and SMACv2 against a double of their simulator, for the game itself is not here."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.parallel import as_parallel
from heliograph.environments.smac.environment import SmacEnvironment
from heliograph.environments.smac.maps import RACES
from heliograph.environments.smac.settings import BattleSettings, SmacSettings, Smacv2Settings
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import SettingsError, WorldError
from heliograph.settings import resolve

pytestmark = pytest.mark.slow

DOUBLE = Path(__file__).parent / "smac_double"
Made = Callable[..., SmacEnvironment]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Makes environments over the double, with faults, and closes them after the test."""
    environments: list[SmacEnvironment] = []
    monkeypatch.syspath_prepend(DOUBLE)

    def make(settings: BattleSettings | None = None, *, count: int = 1, **faults: Any) -> SmacEnvironment:
        monkeypatch.setenv("SMAC_DOUBLE", json.dumps(faults))
        environments.append(SmacEnvironment(settings or SmacSettings(), id="smac-test", count=count))
        return environments[-1]

    yield make
    for environment in environments:
        environment.close()


def attacking(agent_inputs: AgentInputs) -> np.ndarray:
    """The last legal action: shoot if anything is in reach, else move."""
    return agent_inputs.action_mask.shape[-1] - 1 - agent_inputs.action_mask[..., ::-1].argmax(-1)


def stopping(agent_inputs: AgentInputs) -> np.ndarray:
    """Stand still, dead or alive."""
    return agent_inputs.action_mask[..., 1].astype(int)


def played(
    environment: SmacEnvironment, seed: int, policy: Callable[[AgentInputs], np.ndarray] = attacking
) -> list[Transition]:
    """One episode of copy 0, while other copies begin anew as often as they end."""
    agent_inputs = environment.reset(np.full(environment.count, seed))
    transitions: list[Transition] = []
    while True:
        transitions.append(environment.step(policy(agent_inputs)))
        agent_inputs = transitions[-1].agent_inputs
        over = np.flatnonzero(transitions[-1].over)
        if 0 in over:
            return transitions
        if over.size:
            agent_inputs = environment.reset(np.full(over.size, seed), over)


def same(left: list[Transition], right: list[Transition]) -> bool:
    def shown(transition: Transition) -> tuple[bytes, bytes]:
        return transition.agent_inputs.observation.tobytes(), transition.reward.tobytes()

    return [shown(one) for one in left] == [shown(other) for other in right]


@pytest.mark.arrays
def test_a_battle_has_the_recorded_sizes_and_ends_for_the_whole_team(made: Made) -> None:
    environment = made()
    spec = environment.spec
    assert (spec.id, spec.agents, spec.observation_size, spec.actions, spec.episode_limit) == (
        "smac-test",
        3,
        30,
        9,
        60,
    )
    assert (spec.state_size, spec.outcome, spec.idle_action) == (48, "won", 1)
    assert spec.complete_graph
    assert spec.has_action_mask
    episode = played(environment, 1)
    end = episode[-1]
    assert end.outcome.tolist() == [1.0]
    assert end.terminated.all()
    assert not end.truncated.any()
    assert not end.lost.any()
    assert all(np.isnan(transition.outcome).all() and not transition.terminated.any() for transition in episode[:-1])
    assert np.ptp(np.concatenate([transition.reward for transition in episode]), axis=1).max() == 0, (
        "one reward for all"
    )
    assert sum(float(transition.reward[0, 0]) for transition in episode) == pytest.approx(20.0, rel=1e-5)
    with pytest.raises(WorldError, match="no running episode"):
        environment.step(attacking(end.agent_inputs))


@pytest.mark.arrays
def test_dead_units_stay_and_can_do_nothing(made: Made) -> None:
    environment = made()
    episode = played(environment, 1, stopping)
    assert episode[-1].outcome.tolist() == [0.0]
    assert episode[-1].terminated.all()
    died = [t for t in episode if t.agent_inputs.action_mask[0, :, 0].any() and not t.over[0]]
    assert died
    for transition in died:
        dead = transition.agent_inputs.action_mask[0, :, 0]
        assert not transition.agent_inputs.observation[0, dead].any()
        assert transition.agent_inputs.observation[0, ~dead].any(axis=-1).all()
        assert transition.agent_inputs.action_mask[0, dead].sum(-1).tolist() == [1] * int(dead.sum())
        assert transition.agent_inputs.present.all()
        assert not transition.terminated.any()


def test_an_illegal_action_is_refused_before_the_simulator_dies_of_it(made: Made) -> None:
    environment = made()
    agent_inputs = environment.reset(np.array([1]))
    with pytest.raises(WorldError, match="action 0 of agent 0 in copy 0 is illegal"):
        environment.step(np.zeros((1, 3), dtype=int))
    assert not environment.step(attacking(agent_inputs)).lost.any()
    assert environment.restarts == 0


@pytest.mark.arrays
def test_time_that_runs_out_is_a_truncation(made: Made) -> None:
    def walking_away(agent_inputs: AgentInputs) -> np.ndarray:
        mask = agent_inputs.action_mask
        return np.where(mask[..., 5], 5, np.where(mask[..., 0], 0, 1))

    environment = made(SmacSettings(map="3m"), idle_enemies=True)
    end = played(environment, 1, walking_away)[-1]
    assert end.truncated.tolist() == [True]
    assert end.outcome.tolist() == [0.0]
    assert not end.terminated.any()
    assert end.agent_inputs.present.all(), "the last state still has a value"


def test_a_crash_of_the_game_loses_the_episode_of_its_copy_alone(made: Made) -> None:
    environment = made(count=2, crash=[[0, 1, 3]])
    played(environment, 1)
    agent_inputs = environment.reset(np.array([1, 2]))
    for _ in range(3):
        agent_inputs = environment.step(attacking(agent_inputs)).agent_inputs
    agent_inputs = environment.reset(np.array([2]), np.array([1]))  # moves the second copy out of step with the first
    transition = environment.step(attacking(agent_inputs))
    assert transition.lost.tolist() == [True, False]
    assert transition.over.tolist() == [True, False]
    assert np.isnan(transition.outcome).all()
    assert not (transition.terminated.any() | transition.truncated.any())
    assert transition.reward[0].tolist() == [0, 0, 0]
    assert not environment.state()[0].any()
    assert not environment.reset(np.array([3]), np.array([0])).observation[0].all()
    assert environment.restarts == 0, "the simulator itself started the game again"
    assert played(environment, 4)[-1].outcome[0] == 1.0


def test_rewards_keep_their_scale_after_a_crash_in_the_first_episode(made: Made) -> None:
    environment = made(crash=[[0, 0, 2]], slow_units=[[4, 0]])
    assert played(environment, 1)[-1].lost.all()
    environment.reset(np.array([1]))
    environment.reset(np.array([1]))  # given up before it has finished
    episode = played(environment, 1)
    assert sum(float(transition.reward[0, 0]) for transition in episode) == pytest.approx(20.0, rel=1e-5)


def test_an_exception_of_the_simulator_restarts_the_process(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    environment = made(**{"raise": [[0, 1, 0]]})
    played(environment, 1)
    assert played(environment, 2)[-1].lost.all()
    assert environment.restarts == 1
    assert "websocket fell over" in caplog.text
    assert played(environment, 3)[-1].outcome.tolist() == [1.0]


def test_units_that_do_not_appear_and_crashes_in_a_reset_are_tried_again(made: Made) -> None:
    plain = made(no_units=[[0, 1]], crash_in_reset=[[0, 4]])
    wrapped = made(Smacv2Settings(), no_units=[[0, 1]])
    for environment in (plain, wrapped):
        for seed in range(4):
            episode = played(environment, seed)
            assert not episode[-1].lost.any()
            assert len(episode) > 1
        assert environment.restarts == 0


def test_a_missing_game_is_said_at_once(made: Made) -> None:
    environment = made(no_game=True)
    with pytest.raises(WorldError, match=r"FileNotFoundError: /nowhere/StarCraftII/Versions.*heliograph doctor smac"):
        environment.reset(np.array([1]))
    assert environment.restarts == 0


@pytest.mark.parametrize("settings", [SmacSettings(relaunch=True), Smacv2Settings(relaunch=True)])
def test_with_a_game_per_episode_a_seed_repeats_everything(made: Made, settings: BattleSettings) -> None:
    environment = made(settings)
    first = played(environment, 5)
    other = played(environment, 6)
    assert not same(first, other)
    assert same(played(environment, 5), first)


def test_without_that_a_seed_repeats_what_python_draws_and_the_first_episode(made: Made) -> None:
    one, other = made(Smacv2Settings()), made(Smacv2Settings())
    start = one.reset(np.array([5])).observation
    assert (other.reset(np.array([5])).observation == start).all()
    assert same(played(one, 5), played(other, 5))
    own = slice(-5, -3)  # the agent's own place, which only SMACv2 draws
    again = one.reset(np.array([5])).observation
    assert (again[..., own] == start[..., own]).all()
    assert not (one.reset(np.array([6])).observation[..., own] == start[..., own]).all()


@pytest.mark.parametrize("race", RACES)
def test_smacv2_teams(made: Made, race: str) -> None:
    environment = made(Smacv2Settings(race=race, units=5, enemies=6))
    assert (environment.spec.agents, environment.spec.actions) == (5, 12)
    assert environment.spec.parameters["race"] == race
    assert environment.reset(np.array([1])).observation.shape == (1, 5, environment.spec.observation_size)


@pytest.mark.arrays
def test_smacv2_has_the_recorded_sizes(made: Made) -> None:
    spec = made(Smacv2Settings()).spec
    assert (spec.observation_size, spec.state_size, spec.actions, spec.episode_limit) == (82, 120, 11, 200)


@pytest.mark.arrays
def test_hearing_by_sight_leaves_out_the_far_and_the_dead(made: Made) -> None:
    environment = made(SmacSettings(hears="sight"))
    assert not environment.spec.complete_graph
    episode = played(environment, 1, stopping)
    graphs = np.concatenate([transition.agent_inputs.hears for transition in episode])
    dead = np.concatenate([transition.agent_inputs.action_mask[..., 0] for transition in episode])
    assert graphs.any()
    assert not graphs.all(where=~np.eye(3, dtype=bool))
    assert not graphs[:, np.arange(3), np.arange(3)].any()
    assert not graphs[dead].any()
    assert not graphs.transpose(0, 2, 1)[dead].any()


def test_replays_are_saved_every_so_often_and_are_no_part_of_the_world(made: Made, tmp_path: Path) -> None:
    environment = made(SmacSettings(replay_dir=str(tmp_path / "replays"), save_replay_every=2), count=2)
    for seed in range(4):
        played(environment, seed)
    names = sorted(path.name for path in (tmp_path / "replays").iterdir())
    assert len(names) == 4
    assert all(name.startswith("smac-test_") and name.endswith(".SC2Replay") for name in names)
    assert len({name.rsplit("_", 1)[0] for name in names}) == 2, "two games never write to one name"
    assert not {"replay_dir", "save_replay_every"} & set(environment.spec.parameters)


@pytest.mark.arrays
def test_the_state_and_a_picture(made: Made) -> None:
    environment = made(count=2)
    with pytest.raises(WorldError, match="before its first reset"):
        environment.render(1)
    environment.reset(np.array([1, 2]))
    assert environment.state().shape == (2, 48)
    assert environment.state().dtype == np.float32
    assert environment.state().any()
    assert environment.render(1).shape == (24, 32, 3)


@pytest.mark.parametrize("settings", [SmacSettings(hears="sight"), Smacv2Settings()])
def test_pettingzoos_own_test_passes(made: Made, settings: BattleSettings) -> None:
    with warnings.catch_warnings():
        # PettingZoo's test package imports environments of its own through an interface that it has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        parallel_api_test = importlib.import_module("pettingzoo.test").parallel_api_test
    parallel_api_test(as_parallel(made(settings)), num_cycles=80)


@pytest.mark.parametrize(("name", "agents"), [("smac-2s3z", 5), ("smacv2-protoss-10_vs_11", 10)])
def test_the_registry_makes_what_a_name_stands_for(made: Made, name: str, agents: int) -> None:
    environment = registry.make(name, count=1, parameters={"difficulty": "3"})
    try:
        assert (environment.spec.id, environment.spec.agents) == (name, agents)
        again = registry.make(name, count=1, parameters=environment.spec.parameters)
        again.close()
        assert again.spec == environment.spec
        with pytest.raises(SettingsError, match="plays each copy in a process of its own"):
            registry.make(name, count=2, workers=2)
    finally:
        environment.close()


def test_an_unknown_map_or_parameter_lists_the_known_ones(made: Made) -> None:
    with pytest.raises(SettingsError, match="no such map; there are 3m, 8m, 25m"):
        resolve(SmacSettings, {"map": "4m"}, source="test")
    with pytest.raises(SettingsError, match=r"unknown key obs_colour \(valid here: difficulty, hears"):
        resolve(SmacSettings, {"obs_colour": True}, source="test")
    with pytest.raises(WorldError, match="at least one copy"):
        made(count=0)


def test_what_agents_see_and_earn_is_by_default_as_in_the_published_benchmark() -> None:
    """Or its scores would compare with nobody's."""
    seen = SmacSettings().model_dump()
    told = {name for name, value in seen.items() if name.startswith(("obs_", "state_")) and value is True}
    assert told == {"obs_all_health", "obs_own_health", "state_last_action"}
    assert (seen["difficulty"], seen["step_mul"]) == ("7", 8)
