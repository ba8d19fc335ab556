"""Gymnasium's worlds: sizes, levels, agents for dimensions, limits and ends, seeds, pictures, what is refused."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.conformance import examine
from heliograph.environments.parallel import as_parallel
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.environments.single import environment as single
from heliograph.environments.single.tasks import NAMED_TASKS, TASKS
from heliograph.environments.vector import Transition, VectorEnvironment
from heliograph.errors import MissingExtra, SettingsError

pytestmark = pytest.mark.skipif(find_spec("gymnasium") is None, reason="gymnasium is not installed")


def needing(name: str, parameters: dict[str, Any] | None = None, **expected: Any) -> Any:
    """A case that is left out where its package is not installed."""
    parameters = parameters or {}
    named = NAMED_TASKS.get(name)
    package = TASKS[parameters.get("task", named.task if named else "CartPole-v1")].package
    missing = bool(package) and find_spec(package) is None
    marks = pytest.mark.skipif(missing, reason=f"{package} is not installed")
    return pytest.param(name, parameters, expected, marks=marks, id=f"{name}-{len(parameters)}-{package or 'plain'}")


CASES = [
    needing("cartpole", agents=1, observation_size=4, actions=2, factors=(), episode_limit=500),
    needing("gymnasium", {"task": "FrozenLake-v1"}, agents=1, observation_size=16, actions=4, episode_limit=100),
    needing("gymnasium", {"task": "Pendulum-v1", "levels": 5}, agents=1, actions=5, factors=(), episode_limit=200),
    needing("lunarlander", agents=1, observation_size=8, actions=400, factors=((20, 20),), episode_limit=1000),
    needing("gymnasium", {"task": "LunarLander-v3"}, agents=1, observation_size=8, actions=4, episode_limit=1000),
    needing("walker2d", agents=1, observation_size=17, actions=6, factors=(), episode_limit=1000),
    needing("walker2d-6x7", agents=6, observation_size=17 + 6, actions=7, factors=(), episode_limit=1000),
    needing("gymnasium", {"task": "Hopper-v5", "split": True, "step_limit": 9}, agents=3, actions=1, episode_limit=9),
]
every_case = pytest.mark.parametrize(("name", "parameters", "expected"), CASES)


def random_action(world: VectorEnvironment, random: np.random.Generator) -> np.ndarray:
    spec = world.spec
    if spec.continuous:
        return random.uniform(-1, 1, (world.count, spec.agents, spec.actions)).astype(np.float32)
    return random.integers(spec.actions, size=(world.count, spec.agents))


def played(world: VectorEnvironment, seeds: list[int], *, steps: int = 60) -> list[bytes]:
    """What all copies showed on episodes with random actions, until the first is over."""
    random = np.random.default_rng(0)
    shown = [world.reset(np.array(seeds)).observation.tobytes()]
    for _ in range(steps):
        transition = world.step(random_action(world, random))
        shown += [part.tobytes() for part in (transition.agent_inputs.observation, transition.reward, transition.over)]
        if transition.over.any():
            break
    return shown


@every_case
def test_sizes_and_a_spec_that_makes_it_again(name: str, parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    world = registry.make(name, count=1, parameters=parameters)
    spec = world.spec
    assert {field: getattr(spec, field) for field in expected} == expected
    assert (spec.outcome, spec.complete_graph, spec.has_action_mask) == ("return", True, False)
    assert registry.make(name, count=1, parameters=spec.parameters).spec == spec
    world.close()


@every_case
def test_a_seed_repeats_whatever_was_played_before(
    name: str, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    world = registry.make(name, count=2, parameters=parameters)
    first = played(world, [3, 4])
    other = played(world, [5, 6])
    assert played(world, [3, 4]) == first
    assert other != first
    assert played(registry.make(name, count=2, parameters=parameters), [3, 4]) == first
    world.close()


@every_case
def test_it_keeps_every_rule_of_a_parallel_environment(
    name: str, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = examine(
        lambda: as_parallel(registry.make(name, count=1, parameters={"step_limit": 40} | parameters)), environment=name
    )
    assert found.keeps_all, [verdict.problem for verdict in found.verdicts]


def test_a_limit_is_a_truncation_with_a_last_observation_and_a_fall_is_a_termination() -> None:
    short = registry.make("cartpole", count=1, parameters={"step_limit": 3})
    short.reset(np.array([0]))
    for _ in range(3):
        transition = short.step(np.zeros((1, 1), dtype=np.int64))
    assert (transition.over[0], transition.truncated[0], transition.terminated.any()) == (True, True, False)
    assert transition.agent_inputs.observation.any()
    assert transition.outcome[0] == 3
    world = registry.make("cartpole", count=1)
    world.reset(np.array([0]))
    steps = 0
    over = False
    while not over:
        transition = world.step(np.zeros((1, 1), dtype=np.int64))  # pushed left until the pole falls
        steps, over = steps + 1, bool(transition.over[0])
    assert (transition.truncated[0], transition.terminated.all()) == (False, True)
    assert not transition.agent_inputs.observation.any()
    assert transition.outcome[0] == steps < 20


def test_a_limit_that_ends_together_with_a_fall_is_a_termination() -> None:
    world = registry.make("cartpole", count=1)
    world.reset(np.array([0]))
    steps = 1
    while not world.step(np.zeros((1, 1), dtype=np.int64)).over[0]:
        steps += 1
    at_once = registry.make("cartpole", count=1, parameters={"step_limit": steps})
    at_once.reset(np.array([0]))
    for _ in range(steps):
        transition = at_once.step(np.zeros((1, 1), dtype=np.int64))
    assert (transition.truncated[0], transition.terminated.all()) == (False, True)


def levelled_and_continuous(name: str, parameters: dict[str, Any], numbers: Any, vector: Any) -> list[Transition]:
    """One step of a world in levels, and of the same with the vector that the numbers should stand for."""
    steps = []
    for given, action in ((parameters, numbers), (parameters | {"levels": 0, "split": False}, vector)):
        world = registry.make(name, count=1, parameters=given)
        world.reset(np.array([7]))
        steps.append(world.step(np.asarray(action)[None]))
    return steps


def test_levels_reach_evenly_from_bound_to_bound() -> None:
    pendulum = {"task": "Pendulum-v1", "levels": 5, "action_bits": 16}
    for level, torque in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0)):
        numbered, vector = levelled_and_continuous("gymnasium", pendulum, [level], np.float32([[torque]]))
        assert numbered.reward[0] == pytest.approx(vector.reward[0], abs=1e-5)
        assert np.allclose(numbered.agent_inputs.observation, vector.agent_inputs.observation, atol=1e-5)


@pytest.mark.skipif(find_spec("Box2D") is None, reason="Box2D is not installed")
def test_the_landers_joint_actions_are_its_engines_levels_main_engine_first() -> None:
    for main, side in ((19, 0), (0, 19), (13, 4)):
        vector = np.float32([[2 * main / 19 - 1, 2 * side / 19 - 1]])
        numbered, real = levelled_and_continuous("lunarlander", {}, [20 * main + side], vector)
        assert np.allclose(numbered.agent_inputs.observation, real.agent_inputs.observation, atol=1e-5)
        assert numbered.reward[0] == pytest.approx(real.reward[0], abs=1e-3)


@pytest.mark.skipif(find_spec("mujoco") is None, reason="mujoco is not installed")
def test_split_agents_move_a_joint_each_and_get_the_same_reward() -> None:
    levels = np.array([0, 1, 2, 3, 4, 6])
    split, whole = levelled_and_continuous("walker2d-6x7", {}, levels, np.float32([levels / 3 - 1]))
    assert np.allclose(split.agent_inputs.observation[0, :, :17], whole.agent_inputs.observation[0], atol=1e-5)
    assert np.array_equal(split.agent_inputs.observation[0, :, 17:], np.eye(6))
    assert np.allclose(split.reward[0], whole.reward[0, 0], atol=1e-5)
    assert split.agent_inputs.hears.sum() == 30
    one, other = (
        levelled_and_continuous("walker2d-6x7", {}, order, np.float32([levels / 3 - 1]))[0]
        for order in (levels, levels[::-1])
    )
    assert not np.allclose(one.agent_inputs.observation, other.agent_inputs.observation)


@pytest.mark.skipif(find_spec("mujoco") is None, reason="mujoco is not installed")
def test_split_continuous_agents_are_the_dimensions_of_the_whole() -> None:
    parameters = {"task": "Hopper-v5", "split": True}
    vector = np.float32([[0.5], [-0.25], [1.0]])
    split, whole = levelled_and_continuous("gymnasium", parameters, vector, vector.reshape(1, 3))
    assert np.allclose(split.agent_inputs.observation[0, 0, :11], whole.agent_inputs.observation[0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"task": "os:system"}, "task"),
        ({"task": "my_module:Env-v0"}, "task"),
        ({"task": "CartPole-v1", "levels": 4}, "actions of CartPole-v1 are numbered already"),
        ({"task": "Pendulum-v1", "levels": 1}, "levels is 1, which leaves nothing to choose"),
        ({"task": "Pendulum-v1", "split": True}, "action of Pendulum-v1 has no dimensions to share out"),
        ({"task": "Walker2d-v5", "levels": 7}, "7 levels of 6 dimensions are 117649 joint actions, more than the 1024"),
        ({"task": "CartPole-v1", "step_limit": 0}, "step_limit"),
    ],
)
def test_what_does_not_go_together_is_told(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        registry.make("gymnasium", count=1, parameters=parameters)


def test_a_file_may_choose_a_task_of_the_list_and_nothing_else() -> None:
    for task in TASKS:
        registry.check("gymnasium", {"task": task, "levels": 3, "split": True}, CATALOGUE_ONLY)
    assert all(":" not in task and task.rpartition("-v")[2].isdigit() for task in TASKS)
    assert {CATALOGUE[name].family for name in NAMED_TASKS} == {"gymnasium"}


def test_every_task_that_is_listed_is_what_gymnasium_says_of_it() -> None:
    from gymnasium import spaces

    for name, task in TASKS.items():
        if task.package and find_spec(task.package) is None:
            continue
        world = registry.make("gymnasium", count=1, parameters={"task": name})
        space = world._copies[0]._world.action_space
        assert (space.shape[0] if isinstance(space, spaces.Box) else 0) == task.dimensions, name
        world.close()


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra, match=r"needs 'Box2D', which is not installed.*heliograph\[box2d\]"):
        registry.make("gymnasium", count=1, parameters={"task": "LunarLander-v3"})

    def broken(task: str) -> None:
        raise ImportError("no libGL")

    monkeypatch.setattr(single, "_load", broken)
    with pytest.raises(MissingExtra, match=r"cannot load CartPole-v1: no libGL.*heliograph\[gymnasium\]"):
        registry.make("cartpole", count=1)


@pytest.mark.slow
def test_workers_make_the_same_worlds() -> None:
    here, pooled = (registry.make("cartpole", count=2, workers=workers) for workers in (0, 1))
    assert pooled.spec == here.spec
    assert played(pooled, [3, 4]) == played(here, [3, 4])
    pooled.close()


@pytest.mark.skipif(find_spec("pygame") is None, reason="pygame is not installed")
def test_it_is_drawn_without_a_screen() -> None:
    world = registry.make("cartpole", count=2)
    world.reset(np.array([0, 1]))
    picture = world.render(1)
    assert world.spec.renders
    assert (picture.ndim, picture.shape[2], picture.dtype) == (3, 3, np.uint8)
    assert picture.std() > 0
    world.close()
