"""An environment in a process of its own: it may crash, hang or need other variables, and the caller goes on.

Axis legend: E copies, N agents of a team, A actions.
For `heliograph.environments`, and for pools that step several workers at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph import errors
from heliograph.environments.vector import AgentInputs, EnvironmentSpec, Transition, VectorEnvironment
from heliograph.environments.workers.handle import WorkerDied, WorkerHandle
from heliograph.environments.workers.protocol import Blueprint, Failure
from heliograph.errors import WorldError

_logger = logging.getLogger(__name__)


class WorkerEnvironment(VectorEnvironment):
    """All copies of one environment in one child process, with the results that they would have in this one.

    `step` is `send_step` followed by `receive_step`, and `reset` likewise, so that a pool can keep several workers
    busy at once; between the two no other call may be made.

    A process that ends, or does not answer in time, is started again.  All its copies are then lost: `over` and
    `lost` are true, the outcome is NaN, and the copies must be reset as after any episode.  A loss during a reset is
    reported by the step after it.  Copies of which only some must be lost together belong into several workers.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        *,
        variables: Mapping[str, str] | None = None,
        answer_timeout_s: float = 300.0,
        restart_limit: int = 3,
    ) -> None:
        """Start the process, and return before it is ready: whoever makes several makes them at once.

        `variables` hold in the child's environment alone.  After `restart_limit` restarts in a row without a finished
        step the error is raised instead.  What is wrong with the blueprint is raised when `spec` is first read.
        """
        if blueprint.count < 1:
            raise WorldError(f"an environment needs at least one copy, not {blueprint.count}")
        self.count = blueprint.count
        self.answer_timeout_s = answer_timeout_s
        """How long the process may take for one answer before it counts as hanging; games start and models compile
        within it."""
        self.restarts = 0
        """How often the process has been started again."""
        self._blueprint, self._variables, self._restart_limit = blueprint, dict(variables or {}), restart_limit
        self._restarts_in_a_row = 0
        self._learnt: EnvironmentSpec | None = None
        self._ready = False
        self._lost = False
        self._closed = False
        self._handle = WorkerHandle(blueprint, variables=self._variables)

    @property
    def spec(self) -> EnvironmentSpec:
        """Of the environment in the child.  Raises what making it has raised, and WorldError if it cannot start."""
        if self._learnt is None:
            self._make_ready()
            assert self._learnt is not None
        return self._learnt

    @property
    def pid(self) -> int:
        """Of the present process."""
        return self._handle.pid

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        self.send_reset(seeds, copies)
        return self.receive_reset()

    def send_reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> None:
        """Begin a reset."""
        if copies is None or set(np.asarray(copies).reshape(-1).tolist()) >= set(range(self.count)):
            self._lost = False  # nothing is left that was begun before the process died
        self._send("reset", seeds, copies)

    def receive_reset(self) -> AgentInputs:
        """Finish a reset."""
        try:
            agent_inputs: AgentInputs = self._receive()
        except WorkerDied as death:
            self._start_again(death)
            self._lost = True
        return self._placeholder() if self._lost else agent_inputs

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment."""
        self.send_step(actions)
        return self.receive_step()

    def send_step(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step."""
        if not self._lost:
            self._send("step", actions)

    def receive_step(self) -> Transition:
        """Finish a step."""
        if not self._lost:
            try:
                transition: Transition = self._receive()
            except WorkerDied as death:
                self._start_again(death)
            else:
                self._restarts_in_a_row = 0
                return transition
        self._lost = False
        return self._lost_transition()

    def state(self) -> npt.NDArray[np.float32] | None:
        """See VectorEnvironment; zeros where the process has died."""
        return self._shared_array("state", self.count, self.spec.state_size) if self.spec.state_size else None

    def distances(self) -> npt.NDArray[np.float32] | None:
        """See VectorEnvironment; zeros where the process has died."""
        agents = self.spec.agents
        return self._shared_array("distances", self.count, agents, agents) if self.spec.has_distances else None

    def _shared_array(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        try:
            self._send(name)
            answer: npt.NDArray[np.float32] = self._receive()
        except WorkerDied as death:
            self._start_again(death)
            self._lost = True
        return np.zeros(shape, dtype=np.float32) if self._lost else answer

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """See VectorEnvironment.  Also raises WorldError if the process dies of it."""
        try:
            self._send("render", copy)
            image: npt.NDArray[np.uint8] = self._receive()
        except WorkerDied as death:
            self._start_again(death)
            self._lost = True
            raise WorldError(f"{self._name} {death} while it drew a picture") from None
        return image

    def begin_closing(self) -> None:
        """Let the simulators close meanwhile."""
        self._closed = True
        self._handle.begin_closing()

    def close(self) -> None:
        """Close the simulators and end the process."""
        self._closed = True
        self._handle.close()

    @property
    def _name(self) -> str:
        return f"worker of {self._blueprint.environment!r}"

    def _send(self, name: str, *arguments: Any) -> None:
        assert not self._closed, f"{self._name} is closed"
        self._make_ready()
        self._handle.send((name, arguments))

    def _receive(self) -> Any:
        answer = self._handle.receive(timeout_s=self.answer_timeout_s)
        if isinstance(answer, Failure):
            raise getattr(errors, answer.error)(answer.message, remedy=answer.remedy)
        return answer

    def _make_ready(self) -> None:
        """Wait until the process has made its environment, starting it again if it dies of that."""
        while not self._ready:
            try:
                self._learnt = self._receive()
                self._ready = True
            except WorkerDied as death:
                self._start_again(death)

    def _start_again(self, death: WorkerDied) -> None:
        """Replace the dead process by one that is not waited for yet.  Raises WorldError where that is hopeless."""
        said = self._handle.last_lines()
        if self._restarts_in_a_row >= self._restart_limit:
            raise WorldError(
                f"{self._name} {death}, after {self._restarts_in_a_row} restarts without a finished step. "
                f"It last said:\n{said or '(nothing)'}",
                remedy="See what it said; `heliograph doctor` checks the installation of a simulator",
            ) from death
        self._restarts_in_a_row += 1
        self.restarts += 1
        last = said.rpartition("\n")[2]
        _logger.warning(
            "worker restarted environment=%s pid=%d cause=%r restarts=%d copies=%d last_line=%r",
            self._blueprint.environment,
            self._handle.pid,
            str(death),
            self.restarts,
            self.count,
            last,
        )
        self._ready = False
        self._handle = WorkerHandle(self._blueprint, variables=self._variables)

    def _placeholder(self) -> AgentInputs:
        """Of copies whose state nobody knows: zeros, and any action legal."""
        spec = self.spec
        agents = (self.count, spec.agents)
        others = ~np.eye(spec.agents, dtype=bool) if spec.complete_graph else np.zeros((spec.agents,) * 2, dtype=bool)
        return AgentInputs(
            observation=np.zeros((*agents, spec.observation_size), dtype=np.float32),
            action_mask=np.ones((*agents, spec.actions), dtype=bool),
            hears=np.broadcast_to(others, (*agents, spec.agents)).copy(),
            present=np.zeros(agents, dtype=bool),
        )

    def _lost_transition(self) -> Transition:
        agents = (self.count, self.spec.agents)
        return Transition(
            agent_inputs=self._placeholder(),
            reward=np.zeros(agents, dtype=np.float32),
            terminated=np.zeros(agents, dtype=bool),
            truncated=np.zeros(self.count, dtype=bool),
            over=np.ones(self.count, dtype=bool),
            outcome=np.full(self.count, np.nan, dtype=np.float32),
            lost=np.ones(self.count, dtype=bool),
        )
