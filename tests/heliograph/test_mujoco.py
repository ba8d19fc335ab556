"""MAMuJoCo: sizes, seeds, time limits and falls, the partition that the package lacks, pictures, what is refused."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.listing import describe
from heliograph.environments.mujoco.robots import NAMED_ROBOTS, PARTITIONS
from heliograph.environments.parallel import as_parallel
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import SettingsError

# Not importorskip: that its import says nothing is part of what is tested.
pytestmark = pytest.mark.skipif(find_spec("gymnasium_robotics") is None, reason="gymnasium-robotics is not installed")


def drawn(world: VectorEnvironment, seed: int, *, steps: int) -> list[bytes]:
    """What the agents observe on an episode with random actions."""
    random = np.random.default_rng(0)
    seen = [world.reset(np.full(world.count, seed)).observation[0].tobytes()]
    for _ in range(steps):
        transition = world.step(random.uniform(-1, 1, (world.count, world.spec.agents, world.spec.actions)))
        seen.append(transition.agent_inputs.observation[0].tobytes())
        if transition.over[0]:
            break
    return seen


@pytest.mark.parametrize(
    ("name", "agents", "observation", "actions", "state"),
    [
        ("halfcheetah-2x3", 2, 11, 3, 17),
        ("halfcheetah-3x2", 3, 9, 2, 17),
        ("walker2d-2x3", 2, 11, 3, 17),
        ("humanoid-9-8", 2, 236 + 2, 9, 348),
        ("humanoidstandup-9-8", 2, 236 + 2, 9, 348),
    ],
)
def test_sizes(name: str, agents: int, observation: int, actions: int, state: int) -> None:
    world = registry.make(name, count=1)
    spec = world.spec
    assert (spec.agents, spec.observation_size, spec.actions, spec.state_size) == (agents, observation, actions, state)
    assert (spec.episode_limit, spec.outcome, spec.complete_graph) == (1000, "return", True)
    assert world.reset(np.array([0])).hears[0].sum() == agents * (agents - 1)
    assert world.state().shape == (1, state)
    world.close()


def test_unequal_agents_are_padded() -> None:
    world = registry.make("humanoid-9-8", count=1)
    agent_inputs = world.reset(np.array([0]))
    assert agent_inputs.action_mask[0].sum(-1).tolist() == [9, 8]
    assert agent_inputs.observation[0, :, -2:].tolist() == [[1, 0], [0, 1]]
    assert not agent_inputs.observation[0, 1, 167:-2].any()
    assert np.allclose(world.spec.continuous[0].high, 0.4)
    assert (world.spec.continuous[1].low[8], world.spec.continuous[1].high[8]) == (0, 0)


def test_agents_observe_their_own_joints_or_further_ones() -> None:
    near, far = (registry.make("halfcheetah-2x3", count=1, parameters={"agent_obsk": k}) for k in (0, 1))
    assert far.spec.observation_size == near.spec.observation_size + 1


def test_a_seed_repeats_on_the_same_object_whatever_it_played_before() -> None:
    world = registry.make("humanoid-9-8", count=2, parameters={"step_limit": 12})
    first = drawn(world, 3, steps=12)
    other = drawn(world, 4, steps=12)
    assert drawn(world, 3, steps=12) == first
    assert other != first


def test_the_time_limit_is_no_termination_and_a_fall_is_one() -> None:
    cheetah = registry.make("halfcheetah-2x3", count=1, parameters={"step_limit": 3})
    cheetah.reset(np.array([0]))
    for _ in range(3):
        transition = cheetah.step(np.zeros((1, 2, 3), dtype=np.float32))
    assert (transition.over[0], transition.truncated[0], transition.terminated.any()) == (True, True, False)
    assert transition.agent_inputs.observation.any()
    walker = registry.make("walker2d-2x3", count=1)
    walker.reset(np.array([0]))
    over = False
    while not over:
        transition = walker.step(np.ones((1, 2, 3), dtype=np.float32))
        over = bool(transition.over[0])
    assert (transition.truncated[0], transition.terminated.all()) == (False, True)


def test_three_agents_move_the_joints_that_their_partition_says() -> None:
    """The same torques, given by two agents, by three and by six, lead to the same state."""
    torque = {"bthigh": 0.1, "bshin": -0.2, "bfoot": 0.3, "fthigh": -0.4, "fshin": 0.5, "ffoot": -0.6}
    shared = {
        "halfcheetah-2x3": [["bthigh", "bshin", "bfoot"], ["fthigh", "fshin", "ffoot"]],
        "halfcheetah-3x2": [["bfoot", "bshin"], ["bthigh", "ffoot"], ["fshin", "fthigh"]],
        "halfcheetah-6x1": [["bthigh"], ["bshin"], ["bfoot"], ["fthigh"], ["fshin"], ["ffoot"]],
    }
    states = []
    for name, parts in shared.items():
        world = registry.make(name, count=1)
        world.reset(np.array([7]))
        world.step(np.array([[[torque[joint] for joint in part] for part in parts]]))
        states.append(world.state())
        world.close()
    assert (states[0] == states[1]).all()
    assert (states[0] == states[2]).all()


def test_our_view_passes_pettingzoos_own_test(parallel_api_test: Callable[..., None]) -> None:
    for name in ("halfcheetah-2x3", "humanoid-9-8"):
        parallel_api_test(as_parallel(registry.make(name, count=1)), num_cycles=20)


def test_nothing_is_said_or_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.make("halfcheetah-2x3", count=1).close()  # compiling this robot draws a warning of MuJoCo's
    assert capfd.readouterr() == ("", "")
    assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_a_picture_shows_the_robot_or_says_why_there_is_none() -> None:
    world = registry.make("halfcheetah-2x3", count=1)
    world.reset(np.array([0]))
    assert world.spec.renders == (not world.spec.cannot_draw)
    if not world.spec.renders:
        pytest.skip(world.spec.cannot_draw)
    before = world.render()
    assert (before.shape, before.dtype) == ((240, 320, 3), np.uint8)
    for _ in range(5):
        world.step(np.ones((1, 2, 3), dtype=np.float32))
    assert (world.render() != before).any()
    world.close()


def test_a_machine_that_cannot_draw_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = importlib.import_module("heliograph.environments.mujoco.pictures")

    class NoContext:
        def __init__(self, *_: int) -> None:
            raise RuntimeError("no screen")

    monkeypatch.setattr(pictures.mujoco, "GLContext", NoContext)
    pictures.cannot_draw.cache_clear()
    try:
        spec = describe("halfcheetah-2x3").spec
    finally:
        pictures.cannot_draw.cache_clear()
    assert spec is not None
    assert not spec.renders
    assert "no screen" in spec.cannot_draw


def test_every_robot_can_be_made_in_each_of_its_ways() -> None:
    for scenario, partitions in PARTITIONS.items():
        for partition in partitions:
            parameters = {"scenario": scenario, "agent_conf": partition}
            registry.make("mamujoco", count=1, parameters=parameters).close()
    assert all(robot.agent_conf in PARTITIONS[robot.scenario] for robot in NAMED_ROBOTS.values())


def test_a_wrong_partition_lists_the_right_ones() -> None:
    with pytest.raises(SettingsError, match=r"'4x4' is none of Ant's, which are 2x4, 2x4d, 4x2"):
        registry.make("ant-4x2", count=1, parameters={"agent_conf": "4x4"})


def test_standing_still_scores_about_nothing_for_a_cheetah() -> None:
    idle = run_reference("halfcheetah-2x3", "idle", parameters={"step_limit": 50}, episodes=2, seed=0)
    assert np.abs(idle.outcome).max() < 5
    assert idle.length.tolist() == [50, 50]
