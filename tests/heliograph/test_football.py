"""Football: what the adapter makes of a match, over a double with gfootball's recorded contract; gfootball itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import football_double
import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.conformance import examine
from heliograph.environments.football.scenarios import SCENARIOS
from heliograph.environments.parallel import as_parallel
from heliograph.environments.vector import Transition, VectorEnvironment
from heliograph.errors import MissingExtra, SettingsError

REAL = find_spec("gfootball") is not None
really = [pytest.mark.slow, pytest.mark.skipif(not REAL, reason="gfootball is not installed")]
PASS = "football-academy_pass_and_shoot_with_keeper"
RUN, SLIDE, SHOOT = 5, 16, 18


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The double in the place of gfootball."""
    match = pytest.importorskip("heliograph.environments.football.match", reason="gymnasium is not installed")
    football_double.put_in_place(monkeypatch)
    match.loaded.cache_clear()
    yield
    match.loaded.cache_clear()


def played(world: VectorEnvironment, action: int, *, seed: int = 0) -> list[Transition]:
    """One episode of copy 0 in which everybody does the same."""
    world.reset(np.full(world.count, seed))
    steps = [world.step(np.full((world.count, world.spec.agents), action))]
    while not steps[-1].over[0]:
        steps.append(world.step(np.full((world.count, world.spec.agents), action)))
    return steps


@pytest.mark.usefixtures("double")
def test_sizes_and_a_spec_that_makes_it_again() -> None:
    spec = registry.make(PASS, count=1).spec
    assert (spec.agents, spec.observation_size, spec.actions, spec.episode_limit) == (3, 115, 19, 400)
    assert (spec.outcome, spec.complete_graph, spec.has_action_mask, spec.state_size) == ("won", True, False, 0)
    assert registry.make(PASS, count=1, parameters=spec.parameters).spec == spec
    assert registry.make(PASS, count=1, parameters={"agents": 2}).spec.agents == 2


@pytest.mark.usefixtures("double")
def test_an_observation_has_its_parts_at_their_places() -> None:
    world = registry.make(PASS, count=1)
    first = world.reset(np.array([0])).observation[0]
    assert np.allclose(first[:, :6], 0.25)
    assert (first[:, 6:22] == -1).all(), "players that the scenario lacks"
    assert np.allclose(first[:, 22:28], 0.01)
    assert np.allclose(first[:, 44:48], 0.75)
    assert (first[:, 48:66] == -1).all()
    assert np.allclose(first[:, 88:91], (0, 0, 0.1))
    assert first[:, 94:97].tolist() == [[1, 0, 0]] * 3, "nobody has the ball"
    assert np.array_equal(first[:, 97:108], np.eye(3, 11))
    assert first[:, 108:].tolist() == [[1, 0, 0, 0, 0, 0, 0]] * 3
    assert world.step(np.full((1, 3), RUN)).agent_inputs.observation[0, 0, 94:97].tolist() == [0, 1, 0]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("action", "reward", "won"), [(RUN, 1, 1), (SHOOT, -1, 0), (SLIDE, 0, 0)])
def test_goals_for_and_against_and_a_lost_ball_are_terminations(action: int, reward: int, won: int) -> None:
    *before, last = played(registry.make(PASS, count=1), action)
    assert not any(step.reward.any() or step.over.any() for step in before)
    assert last.reward.tolist() == [[reward] * 3]
    assert (last.terminated.all(), last.truncated[0], last.outcome[0]) == (True, False, won)
    assert not last.agent_inputs.present.any()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("parameters", [{}, {"step_limit": 7}], ids=["scenario", "given"])
def test_the_limit_is_a_truncation_with_a_last_observation(parameters: dict[str, int]) -> None:
    steps = played(registry.make(PASS, count=1, parameters=parameters), 0)
    assert len(steps) == parameters.get("step_limit", 400)
    assert (steps[-1].truncated[0], steps[-1].terminated.any(), steps[-1].outcome[0]) == (True, False, 0)
    assert steps[-1].agent_inputs.observation.any()


@pytest.mark.usefixtures("double")
def test_checkpoints_pay_whoever_has_the_ball_once_each_and_the_rest_with_a_goal() -> None:
    world = registry.make(PASS, count=1, parameters={"rewards": "checkpoints"})
    rewards = np.concatenate([step.reward for step in played(world, RUN)])
    assert rewards.sum(0) == pytest.approx([2, 2, 2])
    assert (rewards[:-1, 1:] == 0).all(), "the others have nothing until the goal"
    carried = rewards[:-1, 0]
    assert carried[0] == pytest.approx(0.2), "from 1 to 0.875: past 0.99 and 0.901"
    assert (carried >= 0).all()
    assert np.allclose(carried * 10, np.round(carried * 10), atol=1e-5)
    again = np.concatenate([step.reward for step in played(world, RUN)])
    assert np.allclose(again, rewards), "an episode forgets the one before"


@pytest.mark.usefixtures("double")
def test_a_seed_repeats_and_copies_have_their_own() -> None:
    world = registry.make(PASS, count=2)

    def seen(seeds: list[int]) -> list[bytes]:
        world.reset(np.array(seeds))
        steps = [world.step(np.full((2, 3), 0)).agent_inputs.observation for _ in range(5)]
        return [np.stack(steps)[:, copy].tobytes() for copy in (0, 1)]

    first = seen([3, 2**62])
    assert first[0] != first[1]
    seen([8, 9])
    assert seen([3, 2**62]) == first
    assert seen([2**62, 3]) == first[::-1]


@pytest.mark.usefixtures("double")
def test_it_keeps_every_rule_of_a_parallel_environment() -> None:
    assert examine(lambda: as_parallel(registry.make(PASS, count=1)), environment=PASS).keeps_all


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"scenario": "11_vs_11_stochastic"}, "scenario"),
        ({"scenario": "academy_empty_goal", "agents": 3}, "agents is 3, but academy_empty_goal has 2 players of ours"),
        ({"step_limit": 401}, "step_limit is 401, but academy_pass_and_shoot_with_keeper ends after 400 steps"),
    ],
)
@pytest.mark.usefixtures("double")
def test_what_a_scenario_does_not_have_is_told(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        registry.make(PASS, count=1, parameters=parameters)


def test_a_package_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    match = pytest.importorskip("heliograph.environments.football.match", reason="gymnasium is not installed")

    def broken() -> None:
        raise ImportError("no libSDL2")

    monkeypatch.setattr(registry, "_importable", lambda package: True)
    monkeypatch.setattr(match, "loaded", broken)
    with pytest.raises(MissingExtra, match=r"cannot load gfootball: no libSDL2\. Install it with: pip install"):
        registry.make(PASS, count=1)


@pytest.mark.parametrize("scenario", [pytest.param(name, marks=really) for name in SCENARIOS])
def test_gfootball_itself_has_the_sizes_and_repeats_a_seed(scenario: str) -> None:
    world = registry.make(f"football-{scenario}", count=2)
    assert (world.spec.agents, world.spec.episode_limit) == (SCENARIOS[scenario].players, SCENARIOS[scenario].limit)

    def seen(seeds: list[int]) -> list[bytes]:
        random = np.random.default_rng(0)
        shown = [world.reset(np.array(seeds)).observation]
        for _ in range(8):
            transition = world.step(random.integers(world.spec.actions, size=(2, world.spec.agents)))
            shown.append(transition.agent_inputs.observation)
            if transition.over.any():
                break
        return [np.stack(shown)[:, copy].tobytes() for copy in (0, 1)]

    first = seen([5, 6])
    seen([7, 8])
    assert seen([5, 6]) == first
    assert np.array_equal(world.reset(np.array([1, 2])).observation[0, :, 97:108], np.eye(world.spec.agents, 11))
    world.close()


@pytest.mark.parametrize("agents", [pytest.param(agents, marks=really) for agents in (1, 2, 3)])
def test_gfootballs_own_wrappers_see_and_pay_the_same(agents: int) -> None:
    from gfootball.env import wrappers

    from heliograph.environments.football.match import Match, simple115

    match = Match("academy_pass_and_shoot_with_keeper", agents=agents, checkpoints=True, step_limit=400)
    random = np.random.default_rng(0)
    for episode in range(4):
        match.reset(seed=episode)
        paying = SimpleNamespace(_collected_checkpoints={}, _num_checkpoints=10, _checkpoint_reward=0.1)
        paying.env = SimpleNamespace(unwrapped=match._match)
        while match.agents:
            names = list(match.agents)
            rewards, infos = match.step({name: int(random.choice((5, 5, 11, 12, 1))) for name in names})[1::3]
            raw = match._match.observation()
            theirs = wrappers.Simple115StateWrapper.convert_observation(raw, True)
            assert np.array_equal(np.stack([simple115(seen) for seen in raw]), theirs)
            goal = float(infos[names[0]]["won"])
            scored = goal - (raw[0]["score"][1] > 0)
            paid = wrappers.CheckpointRewardWrapper.reward(paying, np.full(agents, scored, dtype=np.float32))
            assert np.allclose(list(rewards.values()), paid, atol=1e-6)
    match.close()
