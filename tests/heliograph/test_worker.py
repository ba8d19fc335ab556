"""An environment in a child process: the same numbers, and what happens when the child breaks."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import troubled_relay
from troubled_relay import FAULTS, LAST_WORDS, TroubledRelay, TroubledSettings

from heliograph.environments import registry
from heliograph.environments.vector import AgentInputs, Transition, VectorEnvironment
from heliograph.environments.workers.protocol import Blueprint
from heliograph.environments.workers.worker import WorkerEnvironment
from heliograph.errors import SettingsError, UnknownEnvironment, WorldError

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0
SEED_OF = {fault: seed for seed, fault in FAULTS.items()}
GOOD = np.array([1, 2])

Started = Callable[..., WorkerEnvironment]


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts workers and ends them after the test."""
    workers: list[WorkerEnvironment] = []

    def start(blueprint: Blueprint, **options: Any) -> WorkerEnvironment:
        workers.append(WorkerEnvironment(blueprint, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def troubled(**settings: Any) -> Blueprint:
    return Blueprint(
        environment="troubled", count=2, adapter="troubled_relay:TroubledRelay", settings=TroubledSettings(**settings)
    )


def legal(agent_inputs: AgentInputs) -> np.ndarray:
    return agent_inputs.action_mask.argmax(-1)


def same(left: AgentInputs | Transition, right: AgentInputs | Transition) -> bool:
    """Every array equal to the bit, NaN included."""
    if (
        isinstance(left, Transition)
        and isinstance(right, Transition)
        and not same(left.agent_inputs, right.agent_inputs)
    ):
        return False
    names = [name for name in vars(left) if name != "agent_inputs"]
    pairs = [(getattr(left, name), getattr(right, name)) for name in names]
    return all(one.dtype == other.dtype and one.tobytes() == other.tobytes() for one, other in pairs)


def played(environment: VectorEnvironment, seeds: np.ndarray) -> list[Transition]:
    agent_inputs = environment.reset(seeds)
    transitions = []
    for _ in range(environment.spec.episode_limit):
        transitions.append(environment.step(legal(agent_inputs)))
        agent_inputs = transitions[-1].agent_inputs
    return transitions


def assert_lost(transition: Transition) -> None:
    assert transition.lost.all()
    assert transition.over.all()
    assert np.isnan(transition.outcome).all()
    agent_inputs = transition.agent_inputs
    for nothing in (transition.truncated, transition.terminated, transition.reward):
        assert not nothing.any()
    assert not agent_inputs.observation.any()
    assert not agent_inputs.present.any()
    assert agent_inputs.action_mask.any(axis=-1).all()


@pytest.mark.arrays
def test_a_worker_gives_the_same_numbers_as_the_environment_itself(started: Started) -> None:
    parameters = {"agents": 3, "hears": "range", "observation_noise": 0.2}
    here = registry.make("relay", count=3, parameters=parameters)
    there = started(Blueprint(environment="relay", count=3, parameters=parameters))
    assert there.spec == here.spec
    assert there.count == 3
    agent_inputs = here.reset(np.array([1, 2, 3]))
    assert same(there.reset(np.array([1, 2, 3])), agent_inputs)
    mask = agent_inputs.action_mask
    for turn in range(here.spec.episode_limit):
        actions = np.where(mask[..., turn % 5], turn % 5, 0)
        stepped = here.step(actions)
        mask = stepped.agent_inputs.action_mask
        assert same(there.step(actions), stepped)
        assert there.state().tobytes() == here.state().tobytes()
        assert there.distances().tobytes() == here.distances().tobytes()
    assert (there.render(1) == here.render(1)).all()
    assert same(there.reset(np.array([9]), np.array([1])), here.reset(np.array([9]), np.array([1])))
    assert there.restarts == 0


def test_two_workers_step_at_once_and_answer_in_any_order(started: Started) -> None:
    workers = [started(Blueprint(environment="relay", count=2)) for _ in range(2)]
    alone = registry.make("relay", count=2)
    for worker in workers:
        worker.send_reset(GOOD)
    second, first = (worker.receive_reset() for worker in reversed(workers))
    assert same(first, second)
    assert same(first, alone.reset(GOOD))
    for worker in workers:
        worker.send_step(legal(first))
    last, earlier = (worker.receive_step() for worker in reversed(workers))
    assert same(last, earlier)
    assert same(last, alone.step(legal(first)))


@pytest.mark.arrays
@pytest.mark.parametrize("fault", ["killed", "exits"])
def test_a_child_that_dies_loses_its_episodes_and_the_next_ones_are_fine(
    started: Started, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    worker = started(troubled())
    agent_inputs = worker.reset(np.array([1, SEED_OF[fault]]))
    before = worker.pid
    assert not worker.step(legal(agent_inputs)).lost.any()
    with caplog.at_level(logging.WARNING):
        assert_lost(worker.step(legal(agent_inputs)))
    assert worker.restarts == 1
    assert worker.pid != before
    line = caplog.messages[-1]
    assert f"environment=troubled pid={before}" in line
    assert {"killed": "signal SIGKILL", "exits": "exit code 3"}[fault] in line
    assert (LAST_WORDS in line) == (fault == "exits")
    with pytest.raises(WorldError, match="no running episode"):
        worker.step(legal(agent_inputs))
    again = played(worker, GOOD)
    fresh = played(TroubledRelay(TroubledSettings(), id="troubled", count=2), GOOD)
    assert all(same(one, other) for one, other in zip(again, fresh, strict=True))
    assert worker.restarts == 1


def test_a_death_between_two_calls_is_noticed_too(started: Started) -> None:
    worker = started(troubled())
    agent_inputs = worker.reset(GOOD)
    os.kill(worker.pid, signal.SIGKILL)
    assert_lost(worker.step(legal(agent_inputs)))
    assert not played(worker, GOOD)[-1].lost.any()
    os.kill(worker.pid, signal.SIGKILL)
    assert not worker.state().any()
    assert not worker.distances().any()
    assert_lost(worker.step(legal(agent_inputs)))
    agent_inputs = worker.reset(GOOD)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorldError, match="ended with signal SIGKILL while it drew"):
        worker.render()
    assert not played(worker, GOOD)[-1].lost.any(), "a reset of all leaves nothing that was begun before"
    assert worker.restarts == 3


def test_a_death_in_a_reset_loses_the_episode_at_its_first_step(started: Started) -> None:
    worker = started(troubled())
    worker.reset(GOOD)
    agent_inputs = worker.reset(np.array([SEED_OF["dies in reset"]]), np.array([1]))
    assert not agent_inputs.present.any()
    assert_lost(worker.step(legal(agent_inputs)))
    assert not played(worker, GOOD)[-1].lost.any()
    assert worker.restarts == 1


def test_a_child_that_hangs_is_ended_and_started_again(started: Started) -> None:
    worker = started(troubled())
    agent_inputs = worker.reset(np.array([SEED_OF["hangs"], 1]))
    worker.step(legal(agent_inputs))
    hanging = psutil.Process(worker.pid)
    worker.answer_timeout_s = 0.2
    assert_lost(worker.step(legal(agent_inputs)))
    worker.answer_timeout_s = DEADLINE_S
    assert not hanging.is_running()
    assert not played(worker, GOOD)[-1].lost.any()


def test_restarts_without_a_finished_step_come_to_an_end(started: Started) -> None:
    worker = started(troubled(), restart_limit=2)
    deadly = np.array([SEED_OF["dies in reset"], 1])
    for _ in range(2):
        assert_lost(worker.step(legal(worker.reset(deadly))))
    with pytest.raises(WorldError, match="ended with signal SIGKILL, after 2 restarts without a finished step"):
        worker.reset(deadly)
    assert worker.restarts == 2


def test_a_finished_step_makes_the_count_of_restarts_start_anew(started: Started) -> None:
    worker = started(troubled(), restart_limit=1)
    for _ in range(3):
        agent_inputs = worker.reset(np.array([SEED_OF["killed"], 1]))
        assert not worker.step(legal(agent_inputs)).lost.any()
        assert_lost(worker.step(legal(agent_inputs)))
    assert worker.restarts == 3


def test_a_child_that_cannot_start_is_reported_with_its_last_words(started: Started) -> None:
    with pytest.raises(WorldError, match=f"'troubled' ended with exit code 3, after 1 restarts(.|\n)*{LAST_WORDS}"):
        started(troubled(broken=True), restart_limit=1).spec  # noqa: B018


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("raises", WorldError, "adapter of 'troubled': step raised KeyError: 'marine'"),
        ("refuses", SettingsError, "marines refuse. Ask nicely"),
    ],
)
def test_an_exception_in_the_child_is_raised_here(
    started: Started, fault: str, error: type[Exception], message: str
) -> None:
    worker = started(troubled())
    agent_inputs = worker.reset(np.array([SEED_OF[fault], 1]))
    worker.step(legal(agent_inputs))
    with pytest.raises(error) as caught:
        worker.step(legal(agent_inputs))
    assert type(caught.value) is error
    assert str(caught.value) == message
    assert not played(worker, GOOD)[-1].lost.any()
    assert worker.restarts == 0


def test_what_is_wrong_with_a_blueprint_is_said_as_without_a_worker(started: Started) -> None:
    with pytest.raises(UnknownEnvironment, match="there is no environment 'rellay'"):
        started(Blueprint(environment="rellay", count=1)).spec  # noqa: B018
    with pytest.raises(SettingsError, match="unknown key colour"):
        started(Blueprint(environment="relay", count=1, parameters={"colour": 1})).spec  # noqa: B018
    with pytest.raises(WorldError, match="at least one copy, not 0"):
        started(Blueprint(environment="relay", count=0))


def test_variables_hold_in_the_child_alone(started: Started) -> None:
    worker = started(troubled(), variables={troubled_relay.TELLS: "7"})
    worker.reset(GOOD)
    assert worker.state()[:, 0].tolist() == [7, 7]
    assert troubled_relay.TELLS not in os.environ
    without = started(troubled())
    without.reset(GOOD)
    assert without.state()[:, 0].tolist() == [-1, -1]


def test_children_are_out_of_reach_of_ctrl_c_in_the_terminal(started: Started) -> None:
    worker = started(troubled())
    assert os.getpgid(worker.pid) == worker.pid != os.getpgid(0)


def test_closing_ends_the_process_and_may_be_repeated(started: Started) -> None:
    worker = started(troubled())
    worker.reset(GOOD)
    child = psutil.Process(worker.pid)
    worker.close()
    worker.close()
    assert not child.is_running()


def test_closing_amid_a_step_ends_the_process_too(started: Started) -> None:
    worker = started(troubled())
    worker.send_step(legal(worker.reset(GOOD)))
    child = psutil.Process(worker.pid)
    worker.close()
    assert not child.is_running()


def test_children_end_with_a_killed_parent_even_amid_a_step() -> None:
    program = (
        "import numpy as np, sys, test_worker\n"
        "from heliograph.environments.workers.worker import WorkerEnvironment\n"
        "workers = [WorkerEnvironment(test_worker.troubled()) for _ in range(2)]\n"
        f"for worker, seed in zip(workers, (1, {SEED_OF['hangs']})):\n"
        "    actions = test_worker.legal(worker.reset(np.array([seed, 2])))\n"
        "    worker.step(actions)\n"
        "workers[1].send_step(actions)\n"
        "print(*(worker.pid for worker in workers), flush=True)\n"
        "sys.stdin.read()\n"
    )
    places = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    ) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
        assert not psutil.wait_procs(children, timeout=DEADLINE_S)[1]
