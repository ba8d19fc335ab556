"""Continuous actions of foreign teams: sizes, bounds, both ways of PettingZoo, reference policies, refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import steering_team

from heliograph.environments import registry
from heliograph.environments.parallel import ParallelVector, as_parallel
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.reference import IdlePolicy, RandomPolicy
from heliograph.environments.workers.pool import pooled
from heliograph.errors import SettingsError, WorldError

NAME = "steering_team:make"


def test_sizes_are_padded_and_bounds_kept() -> None:
    world = registry.make(NAME, count=2, parameters={"action_bits": 6}, permission=EVERYTHING)
    assert (world.spec.agents, world.spec.observation_size, world.spec.actions) == (2, 3 + 2, 2)
    assert [(space.low, space.high, space.bits) for space in world.spec.continuous] == [
        ((-2.0, -2.0), (2.0, 2.0), 6),
        ((0.0, 0.0), (0.5, 0.0), 6),
    ]
    assert world.spec.action_shape == (2,)
    assert world.spec.has_action_mask
    assert world.reset(np.array([1, 2])).action_mask.tolist() == [[[True, True], [True, False]]] * 2
    assert world.spec.parameters == {"action_bits": 6}


def test_the_world_gets_its_own_units_and_its_own_sizes() -> None:
    inner = steering_team.make()
    world = ParallelVector(lambda: inner, count=1)
    world.reset(np.array([1]))
    world.step(np.array([[[1.0, -0.5], [-1.0, 0.9]]]))
    world.step(np.array([[[0.0, -1.0], [0.5, np.float32(0.3)]]], dtype=np.float32))
    assert [{name: action.tolist() for name, action in step.items()} for step in inner.given] == [
        {"mast": [2.0, -1.0], "oar": [0.0]},
        {"mast": [0.0, -2.0], "oar": [0.375]},
    ]


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [
        (np.zeros((1, 2, 2), dtype=int), "must be real numbers"),
        (np.zeros((1, 2, 1)), r"must be real numbers \(1, 2, 2\)"),
        (np.zeros((1, 2)), "must be real numbers"),
        (np.full((1, 2, 2), np.nan), "action of agent 0 in copy 0 is nan in dimension 0"),
        (np.array([[[0.0, 0.0], [1.1, 0.0]]]), r"action of agent 1 in copy 0 is 1\.1 in dimension 0, outside -1\.\.1"),
    ],
)
def test_what_is_no_action_is_refused(actions: np.ndarray, complaint: str) -> None:
    world = registry.make(NAME, count=1, permission=EVERYTHING)
    world.reset(np.array([0]))
    with pytest.raises(WorldError, match=complaint):
        world.step(actions)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("unbounded", "of agent 'mast' has no bounds"),
        ("integers", "of agent 'oar' is not of real numbers"),
        ("many", "of agent 'oar' is neither Discrete, MultiDiscrete, nor a Tuple of them, nor a Box"),
    ],
)
def test_actions_that_cannot_be_learned_are_refused_at_once(fault: str, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of '{NAME}': action space .*{complaint}"):
        registry.make(NAME, count=1, parameters={"fault": fault}, permission=EVERYTHING)


@pytest.mark.parametrize("bits", [1, 17, 8.0, True])
def test_bits_are_checked(bits: object) -> None:
    with pytest.raises(SettingsError, match="action_bits"):
        registry.make(NAME, count=1, parameters={"action_bits": bits}, permission=EVERYTHING)


def test_our_view_has_the_agents_own_actions(parallel_api_test: Callable[..., None]) -> None:
    view = as_parallel(registry.make(NAME, count=1, permission=EVERYTHING))
    parallel_api_test(view, num_cycles=20)
    assert [view.action_space(agent).shape for agent in view.possible_agents] == [(2,), (1,)]
    assert view.action_space("agent_1").high.tolist() == [0.5]
    view.reset(seed=0)
    with pytest.raises(WorldError, match=r"action of agent 'agent_1' has shape \(2,\), not \(1,\)"):
        view.step({"agent_0": np.zeros(2), "agent_1": np.zeros(2)})


def test_there_and_back_again_the_world_goes_the_same_way() -> None:
    ours = registry.make(NAME, count=1, permission=EVERYTHING)
    back = ParallelVector(lambda: as_parallel(registry.make(NAME, count=1, permission=EVERYTHING)), count=1)
    ours.reset(np.array([5]))
    back.reset(np.array([5]))
    grid, random = ours.spec.continuous[0], np.random.default_rng(0)
    for _ in range(steering_team.STEPS):
        actions = grid.snapped(random.uniform(-1, 1, (1, 2, 2)))
        left, right = ours.step(actions), back.step(actions)
        assert np.allclose(left.agent_inputs.observation, right.agent_inputs.observation[..., :5], atol=1e-5)
        assert np.allclose(left.reward, right.reward, atol=1e-5)


@pytest.mark.slow
def test_workers_step_them_all_the_same() -> None:
    alone = registry.make(NAME, count=2, permission=EVERYTHING)
    spread = pooled(NAME, count=2, workers=2, parameters={}, permission=EVERYTHING)
    try:
        alone.reset(np.array([1, 2]))
        spread.reset(np.array([1, 2]))
        actions = np.linspace(-1, 1, 8).reshape(2, 2, 2)
        assert (
            alone.step(actions).agent_inputs.observation.tobytes()
            == spread.step(actions).agent_inputs.observation.tobytes()
        )
        with pytest.raises(WorldError, match="outside"):
            spread.step(actions * 2)
    finally:
        spread.close()


def test_reference_policies_act_within_bounds() -> None:
    inner = steering_team.make()
    world = ParallelVector(lambda: inner, count=1)
    for policy in (RandomPolicy(world, seed=0), IdlePolicy(world, seed=0)):
        agent_inputs = world.reset(np.array([0]))
        policy.begin(0, episode=0)
        while not (transition := policy.step(agent_inputs)).over[0]:
            agent_inputs = transition.agent_inputs
        told = [step["mast"].tolist() for step in inner.given]
        assert len(told) == steering_team.STEPS
        if isinstance(policy, IdlePolicy):
            assert told == [[0.0, 0.0]] * steering_team.STEPS
            assert [step["oar"].tolist() for step in inner.given] == [[0.25]] * steering_team.STEPS
        else:
            assert np.ptp(told) > 1
