"""Starts the node processes of a team on this machine, watches them by their handles, and ends them.

Nodes get a process group of their own, so that Ctrl-C in a terminal reaches the coordinator alone, which then
lets them leave in order.  If the coordinator dies, they notice and end by themselves.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coordinator.serving.node_template import NODE, ForkedProcess, NodeTemplate, TemplateFailed
from heliograph.errors import NodeFailed

logger = logging.getLogger(__name__)

TERMINATE_DEADLINE_S = 5.0
"""How long a node gets to drain after SIGTERM before it is killed."""

KILL_DEADLINE_S = 5.0
"""How long the system may take to end a killed process."""

NodeProcess = subprocess.Popen[bytes] | ForkedProcess
"""The handle of a child of this process."""

QUOTED_LINES = 12
"""How much of a failed node's log goes into the error."""


@dataclass(frozen=True, kw_only=True)
class NodeExit:
    """A node process that ended although nobody told it to."""

    slot: int
    exit_code: int
    """Negative: ended by that signal."""
    log_tail: str
    log_path: Path

    def __str__(self) -> str:
        cause = f"was killed by {_name(-self.exit_code)}" if self.exit_code < 0 else f"ended with code {self.exit_code}"
        tail = f"; last log lines:\n{self.log_tail}" if self.log_tail else "; its log is empty"
        return f"node {self.slot} {cause} (log: {self.log_path}){tail}"


def _name(number: int) -> str:
    """Of a signal; of some on real-time systems there is only the number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def node_command(coordinator_address: str, slot: int, *, join_timeout_s: float, host: str = "127.0.0.1") -> list[str]:
    """The command line of a local node that listens at `host` and fetches its bundle from the coordinator."""
    return [
        *(*NODE, "--log-level", "info"),
        *("--coordinator", coordinator_address, "--slot", str(slot)),
        *("--listen", f"{host}:0", "--advertise", host),
        *("--join-timeout-s", f"{join_timeout_s:g}"),
        # A coordinator that is gone with this process does not come back at that address.
        *("--started-by", str(os.getpid())),
    ]


class Supervisor:
    """Owns at most one process per slot.  `command` gives a slot's command line; use as a context manager.

    Each process writes its log to `agent-<slot>.log` in `log_folder`; a restarted one appends to it.  `quotes`
    says which of its lines belong into the tail of a log.  `forked` nodes are begun by a template, others one by one.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        *,
        log_folder: Path,
        quotes: Callable[[str], bool] = lambda line: True,
        forked: bool = False,
    ) -> None:
        self._command, self._quotes, self._forked = command, quotes, forked
        self.log_folder = log_folder
        self._processes: dict[int, NodeProcess] = {}
        self._template: NodeTemplate | None = None

    def __enter__(self) -> Supervisor:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> tuple[int, ...]:
        return tuple(sorted(slot for slot, process in self._processes.items() if process.poll() is None))

    def process(self, slot: int) -> NodeProcess:
        """The handle of a slot's newest process."""
        return self._processes[slot]

    def start(self, slot: int) -> None:
        """Start the process of a slot, again if it has ended.  Raises NodeFailed if the system refuses."""
        old = self._processes.get(slot)
        assert old is None or old.poll() is not None, f"slot {slot} still has a running process"
        try:
            with self.log_path(slot).open("ab") as log:
                self._processes[slot] = self._started(self._command(slot), log)
        except OSError as error:
            raise NodeFailed(f"cannot start the process of node {slot}: {error.strerror}") from error
        logger.info("started slot=%d pid=%d log=%s", slot, self._processes[slot].pid, self.log_path(slot))

    def _started(self, command: list[str], log: IO[bytes]) -> NodeProcess:
        """Raises OSError if the system refuses."""
        if self._forked and tuple(command[: len(NODE)]) == NODE:  # it may be started by another program
            self._template = self._template or NodeTemplate()
            try:
                return self._template.start(command[len(NODE) :], log.fileno())
            except TemplateFailed as error:
                logger.warning("nodes are started one by one from here on: their template failed: %s", error)
                self._forgo_template()
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)

    def _forgo_template(self) -> None:
        if self._template is not None:
            self._template.close()
        self._forked, self._template = False, None

    def ended(self) -> list[NodeExit]:
        """Processes that have ended since the last call, with what they said last."""
        gone = [slot for slot, process in self._processes.items() if process.poll() is not None]
        return [self._reap(slot) for slot in sorted(gone)]

    def wait(self, *, timeout_s: float) -> dict[int, int]:
        """Wait until the processes end by themselves; returns the exit codes of those that did in time."""
        deadline = time.monotonic() + timeout_s
        codes = {}
        for slot, process in self._processes.items():
            try:
                codes[slot] = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
        return codes

    def stop(self) -> None:
        """End all processes: terminate, then kill.  Returns within the two deadlines."""
        processes = [process for process in self._processes.values() if process.poll() is None]
        for process in processes:
            process.terminate()
        stubborn = _still_running(processes, TERMINATE_DEADLINE_S)
        for process in stubborn:
            logger.warning("killing pid=%d: it did not drain within %g s", process.pid, TERMINATE_DEADLINE_S)
            process.kill()
        for process in _still_running(stubborn, KILL_DEADLINE_S):
            logger.error("pid=%d does not end even when killed", process.pid)
        self._processes.clear()
        self._forgo_template()

    def log_path(self, slot: int) -> Path:
        return self.log_folder / f"agent-{slot}.log"

    def log_tail(self, slot: int) -> str:
        """The last lines that a slot's processes wrote."""
        try:
            text = self.log_path(slot).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if self._quotes(line)][-QUOTED_LINES:])

    def _reap(self, slot: int) -> NodeExit:
        code = self._processes.pop(slot).wait()
        found = NodeExit(slot=slot, exit_code=code, log_tail=self.log_tail(slot), log_path=self.log_path(slot))
        logger.warning("node process ended slot=%d exit_code=%d", slot, found.exit_code)
        return found


def _still_running(processes: list[NodeProcess], timeout_s: float) -> list[NodeProcess]:
    deadline = time.monotonic() + timeout_s
    remaining = []
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            remaining.append(process)
    return remaining
