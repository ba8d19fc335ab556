"""A team of node processes with its coordinator: joined, connected, watched, and let go."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from coordinator.running.ending import first_of
from coordinator.serving.node_template import pays
from coordinator.serving.server import CoordinationServer
from coordinator.serving.supervisor import NodeExit, Supervisor
from coordinator.serving.team import Team
from heliograph.errors import NodeFailed
from heliograph.optional import optional
from heliograph.stopping import Stopped

logger = logging.getLogger(__name__)

T = TypeVar("T")

WATCH_INTERVAL_S = 0.1
"""How often the node processes are looked at; a handle's poll costs microseconds."""

LEAVE_DEADLINE_S = 5.0
"""How long processes may take to end after their sessions are over."""


class NodeTeam:
    """An async context manager: inside, the server can be joined, and afterwards no process that was started is left.

    `command(slot)` is the command line of a slot's node, once the server has its address; None: nodes are started
    elsewhere.  `log_folder` is where their logs go and stay; None: a temporary one that is kept only if something went
    wrong.  A process that dies is started again up to `restarts` times, and the team goes on without it after that,
    unless it `needs_all`.  `quotes` says which lines of a log are worth quoting in an error.
    """

    def __init__(
        self,
        server: CoordinationServer,
        *,
        command: Callable[[int], list[str]] | None,
        log_folder: Path | None = None,
        restarts: int = 0,
        needs_all: bool = False,
        quotes: Callable[[str], bool] = lambda line: True,
    ) -> None:
        self.server = server
        self.exits: list[NodeExit] = []
        """Of processes that ended although nobody told them to, so far."""
        self.exit_codes: dict[int, int] = {}
        """By slot, once the team was let go: of the processes that ended by themselves."""
        self._command, self._log_folder, self._quotes = command, log_folder, quotes
        self._restarts, self._needs_all = restarts, needs_all
        self._supervisor: Supervisor | None = None
        self._is_connected = False
        self._was_stopped = False

    @property
    def team(self) -> Team:
        """The nodes that have joined."""
        return self.server.team

    @property
    def supervisor(self) -> Supervisor:
        """Of the processes; only of a team that starts them."""
        assert self._supervisor is not None, "nodes are started elsewhere"
        return self._supervisor

    async def __aenter__(self) -> NodeTeam:
        if self._command is not None:
            folder = self._log_folder or Path(tempfile.mkdtemp(prefix="heliograph-nodes-"))
            forked = pays(self.team.size)
            self._supervisor = Supervisor(self._command, log_folder=folder, quotes=self._quotes, forked=forked)
            self._supervisor.__enter__()
        try:
            await self.server.__aenter__()
        except BaseException:
            self._end_processes(keep_logs=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.server.__aexit__(kind, error, trace)
            # After a stop some may still be starting; those are not told anything, only ended.
            if self._supervisor is not None and error is None and not self._was_stopped:
                # In a thread, because links may have to pass on what nodes say while they leave.
                self.exit_codes = await asyncio.to_thread(self._supervisor.wait, timeout_s=LEAVE_DEADLINE_S)
        finally:
            self._end_processes(keep_logs=bool(self.exits) or isinstance(error, Exception))

    async def connect(self, *, start_timeout_s: float, connect_timeout_s: float | None) -> list[tuple[int, int]]:
        """Start the nodes, or wait for those that somebody else starts; then, unless None, for their streams.

        Returns the pairs of slots that have no stream by then.  Raises NodeFailed if a slot stays empty.
        """
        team = self.team
        if self._supervisor is None:
            print(f"waiting for {team.size} nodes at {self.server.address}", file=sys.stderr, flush=True)
        else:
            for slot in range(team.size):
                self._supervisor.start(slot)
        try:
            await team.wait_for_all(timeout_s=start_timeout_s)
        except NodeFailed as error:
            if self._supervisor is None:
                raise
            slot = min(set(range(team.size)) - set(team.live))
            tail = self._supervisor.log_tail(slot)
            raise NodeFailed(f"{error.message}; last log lines of node {slot}:\n{tail}") from None
        if connect_timeout_s is not None:
            await team.wait_until(lambda: not team.missing_links(), timeout_s=connect_timeout_s)
        self._is_connected = True
        return [] if connect_timeout_s is None else team.missing_links()

    async def during(self, work: Coroutine[Any, Any, T], *, stop: asyncio.Event | None = None) -> T:
        """Do the work while the processes are watched.

        Raises NodeFailed if one ends before all are connected, none is left, or one is gone that is needed; Stopped if
        `stop` is set first.  Nothing of the work keeps running afterwards.
        """
        try:
            return await first_of(work, self._watch(), asyncio.Event() if stop is None else stop)
        except Stopped:
            self._was_stopped = True
            raise
        finally:
            if self._supervisor is not None:
                # Those that died since the last look; from here on they are told to end.
                self.exits += self._supervisor.ended()

    async def _watch(self) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            await asyncio.Event().wait()
            return
        deaths: Counter[int] = Counter()
        while True:
            found = supervisor.ended()
            self.exits += found
            if self.exits and (self._needs_all or not self._is_connected):
                raise NodeFailed(str(self.exits[0]))
            for one in found:
                deaths[one.slot] += 1
                if deaths[one.slot] <= self._restarts:
                    supervisor.start(one.slot)
            if self.exits and not supervisor.running:
                raise NodeFailed(str(self.exits[-1]))
            await asyncio.sleep(WATCH_INTERVAL_S)

    def _end_processes(self, *, keep_logs: bool) -> None:
        if self._supervisor is None:
            return
        self._supervisor.__exit__()
        if self._log_folder is None and not keep_logs:
            folder = self._supervisor.log_folder
            with optional("logs that nobody needs are left"):
                for path in folder.glob("*.log"):
                    path.unlink()
                folder.rmdir()
