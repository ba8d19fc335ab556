"""Several workers as one environment: all of them work at once, and each loses only its own copies.

Axis legend: E copies, N agents of a team.
For `heliograph.environments` and for whoever collects from many processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import (
    AgentInputs,
    Transition,
    VectorEnvironment,
    check_running,
    checked_actions,
    checked_seeds,
)
from heliograph.environments.workers.worker import WorkerEnvironment
from heliograph.errors import HeliographError

_Answer = TypeVar("_Answer")


class WorkerGroup(VectorEnvironment):
    """The copies of all workers, in order; owns the workers, which must run the same environment."""

    def __init__(self, workers: Sequence[WorkerEnvironment]) -> None:
        """Wait until all are ready.  Raises what making an environment has raised, and then closes them all."""
        self.workers = tuple(workers)
        ends = np.cumsum([worker.count for worker in self.workers])
        self._copies = [slice(end - worker.count, end) for worker, end in zip(self.workers, ends, strict=True)]
        self.count = int(ends[-1])
        try:
            specs = [worker.spec for worker in self.workers]
        except BaseException:
            self.close()
            raise
        self._spec = specs[0]
        self._latest: list[AgentInputs | None] = [None] * len(self.workers)
        self._over = np.ones(self.count, dtype=bool)

    @property
    def restarts(self) -> int:
        """How often a process has been started again."""
        return sum(worker.restarts for worker in self.workers)

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        asked = []
        for index, place in enumerate(self._copies):
            mine = (chosen >= place.start) & (chosen < place.stop)
            if mine.any() or self._latest[index] is None:
                self.workers[index].send_reset(given[mine], chosen[mine] - place.start)
                asked.append(index)
        answers = _all_answers([self.workers[index].receive_reset for index in asked])
        for index, agent_inputs in zip(asked, answers, strict=True):
            self._latest[index] = agent_inputs
        self._over[chosen] = False
        return _joined_agent_inputs(self._latest)

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        # Checked here as well as in the workers, which do not know how their copies are numbered.
        check_running(~self._over)
        mask = np.concatenate([agent_inputs.action_mask for agent_inputs in self._latest if agent_inputs is not None])
        legal = checked_actions(actions, mask=mask, rows=self.spec.rows)
        for worker, place in zip(self.workers, self._copies, strict=True):
            worker.send_step(legal[place])
        transitions = _all_answers([worker.receive_step for worker in self.workers])
        self._latest = [transition.agent_inputs for transition in transitions]
        arrays = {
            field.name: np.concatenate([getattr(transition, field.name) for transition in transitions])
            for field in fields(Transition)
            if field.name != "agent_inputs"
        }
        self._over = arrays["over"].copy()
        return Transition(agent_inputs=_joined_agent_inputs(self._latest), **arrays)

    def state(self) -> npt.NDArray[np.float32] | None:
        """See VectorEnvironment."""
        if not self.spec.state_size:
            return None
        return np.concatenate([worker.state() for worker in self.workers])

    def distances(self) -> npt.NDArray[np.float32] | None:
        """See VectorEnvironment."""
        if not self.spec.has_distances:
            return None
        return np.concatenate([worker.distances() for worker in self.workers])

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """See VectorEnvironment."""
        index = next(index for index, place in enumerate(self._copies) if place.start <= copy < place.stop)
        return self.workers[index].render(copy - self._copies[index].start)

    def close(self) -> None:
        """End all processes, whose simulators close at the same time."""
        for worker in self.workers:
            worker.begin_closing()
        for worker in self.workers:
            worker.close()


def _all_answers(receivers: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
    """Every answer, or the first error once all have been received: one left behind would be taken for the next."""
    answers: list[_Answer] = []
    errors: list[HeliographError] = []
    for receive in receivers:
        try:
            answers.append(receive())
        except HeliographError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return answers


def _joined_agent_inputs(parts: Sequence[AgentInputs | None]) -> AgentInputs:
    return AgentInputs(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(AgentInputs)}
    )
