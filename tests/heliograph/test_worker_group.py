"""Several workers as one environment: the copies of one process, and losses that stay where they happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from troubled_relay import FAULTS, TroubledSettings

from heliograph.environments import registry
from heliograph.environments.vector import AgentInputs
from heliograph.environments.workers.group import WorkerGroup
from heliograph.environments.workers.protocol import Blueprint
from heliograph.environments.workers.worker import WorkerEnvironment
from heliograph.errors import SettingsError, WorldError

SEED_OF = {fault: seed for seed, fault in FAULTS.items()}


@pytest.fixture(scope="module")
def group() -> Iterator[WorkerGroup]:
    """Copies 0 and 1 in the first worker, 2 in the second."""
    made = WorkerGroup(
        [
            WorkerEnvironment(
                Blueprint(
                    environment="relay",
                    count=count,
                    adapter="troubled_relay:TroubledRelay",
                    settings=TroubledSettings(),
                )
            )
            for count in (2, 1)
        ]
    )
    yield made
    made.close()


def assert_same(left: Any, right: Any) -> None:
    for field in fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "agent_inputs":
            assert_same(one, other)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


def legal(agent_inputs: AgentInputs) -> np.ndarray:
    return agent_inputs.action_mask.argmax(-1)


def test_a_group_is_one_environment_with_all_their_copies(group: WorkerGroup) -> None:
    alone = registry.make("relay", count=3)
    assert group.count == 3
    agent_inputs = group.reset(np.array([5, 6, 7]))
    assert_same(agent_inputs, alone.reset(np.array([5, 6, 7])))
    for _ in range(2):
        actions = legal(agent_inputs)
        transition = group.step(actions)
        assert_same(transition, alone.step(actions))
        agent_inputs = transition.agent_inputs
    assert_same(group.reset(np.array([8, 9]), np.array([2, 1])), alone.reset(np.array([8, 9]), np.array([2, 1])))
    assert (group.state()[:, 1:] == alone.state()[:, 1:]).all(), "the first entry is the double's own"
    assert (group.distances() == alone.distances()).all()
    assert (group.render(2) == alone.render(2)).all()
    with pytest.raises(WorldError, match=r"cannot reset copies \[3\]"):
        group.reset(np.array([1]), np.array([3]))


def test_a_group_names_a_copy_by_its_own_number(group: WorkerGroup) -> None:
    agent_inputs = group.reset(np.array([5, 6, 7]))
    actions = legal(agent_inputs)
    copy, agent, forbidden = np.argwhere(~agent_inputs.action_mask)[-1]
    assert copy == 2
    actions[copy, agent] = forbidden
    with pytest.raises(WorldError, match=f"action {forbidden} of agent {agent} in copy 2 is illegal"):
        group.step(actions)
    for _ in range(group.spec.episode_limit):
        transition = group.step(legal(agent_inputs))
        agent_inputs = transition.agent_inputs
    assert transition.over.all()
    group.reset(np.array([5, 6]), np.array([0, 1]))
    with pytest.raises(WorldError, match="copy 2 has no running episode"):
        group.step(legal(agent_inputs))


@pytest.mark.slow
def test_a_worker_that_dies_takes_only_its_own_copies_along(group: WorkerGroup) -> None:
    before = group.restarts
    agent_inputs = group.reset(np.array([1, 2, SEED_OF["killed"]]))
    group.step(legal(agent_inputs))
    transition = group.step(legal(agent_inputs))
    assert transition.lost.tolist() == [False, False, True]
    assert transition.over.tolist() == [False, False, True]
    assert group.restarts == before + 1
    agent_inputs = group.reset(np.array([3]), np.array([2]))
    assert agent_inputs.present.all()
    assert not group.step(legal(agent_inputs)).lost.any()


@pytest.mark.slow
def test_an_error_in_one_worker_leaves_no_answer_of_another_behind(group: WorkerGroup) -> None:
    agent_inputs = group.reset(np.array([SEED_OF["raises"], 2, 3]))
    group.step(legal(agent_inputs))
    with pytest.raises(WorldError, match="step raised KeyError"):
        group.step(legal(agent_inputs))
    fresh = registry.make("relay", count=3)
    agent_inputs = group.reset(np.array([1, 2, 3]))
    assert_same(agent_inputs, fresh.reset(np.array([1, 2, 3])))
    assert_same(group.step(legal(agent_inputs)), fresh.step(legal(agent_inputs)))


@pytest.mark.slow
def test_a_group_with_a_worker_that_cannot_start_is_closed() -> None:
    workers = [
        WorkerEnvironment(Blueprint(environment="relay", count=1, parameters=parameters))
        for parameters in ({}, {"size": 1})
    ]
    with pytest.raises(SettingsError, match="size"):
        WorkerGroup(workers)
    with pytest.raises(AssertionError, match="closed"):
        workers[0].reset(np.array([1]))
