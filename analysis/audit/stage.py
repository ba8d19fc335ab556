"""The stage: one team of node processes that plays script after script.

A message that is not there in time would look like a leak or hide one, so such a play does not count and is repeated;
a node that ends makes the audit end.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from analysis.audit.imports import LOG_PREFIX, traced
from analysis.audit.play import Played
from analysis.audit.script import Script, ScriptedEnvironment
from coordinator.plan.pace import Clock, Pace
from coordinator.running.episode import play
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import QUOTED_LINES, Supervisor, node_command
from coordinator.world.trajectory import StepRecord
from coordinator.world.world import World
from heliograph.bundle import Bundle
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NetworkError, NodeFailed

Result = TypeVar("Result")

NodeCommand = Callable[[str, int], list[str]]
"""The command line of a node, from the coordinator's address and the slot."""

PACE = Pace(action_deadline_s=60.0, message_deadline_s=20.0)
"""So long that only a broken link or a stuck node misses it, on a loaded machine, too."""

START_TIMEOUT_S, LEAVE_DEADLINE_S = 60.0, 5.0

WATCH_INTERVAL_S = 0.1

NOTICE_S = 1.0
"""How long after a play that does not count a node may be found to have ended."""

ATTEMPTS = 3
"""How often a script is played until every message was in time."""


def standard_node(address: str, slot: int) -> list[str]:
    """The node that `heliograph run` starts."""
    return node_command(address, slot, join_timeout_s=START_TIMEOUT_S)


class Stage:
    """An async context manager: inside, every slot has a live node, connected with all others.

    Raises NodeFailed if nodes do not come up or one ends, NetworkError if messages are missing again and again.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        spec: EnvironmentSpec,
        run_seed: int,
        greedy: bool,
        command: NodeCommand,
        log_folder: Path,
        keep_logs: bool,
    ) -> None:
        self.server = CoordinationServer(bundles, TeamSettings(run_seed=run_seed, greedy=greedy, report_latents=True))
        self.supervisor = Supervisor(
            lambda slot: traced(command(self.server.address, slot)),
            log_folder=log_folder,
        )
        self._spec = spec
        self._has_messages = bundles[0].manifest.message is not None
        self._log_folder, self._keep_logs = log_folder, keep_logs
        self._episode = 0

    async def __aenter__(self) -> Stage:
        await self.server.__aenter__()
        self.supervisor.__enter__()
        self._watch = asyncio.create_task(self._watch_nodes())
        try:
            for slot in range(self.server.team.size):
                self.supervisor.start(slot)
            await self._unless_one_ends(self._everybody())
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        await self.server.__aexit__(kind, error, trace)
        if error is None:
            self.supervisor.wait(timeout_s=LEAVE_DEADLINE_S)
        self.supervisor.__exit__(kind, error, trace)
        if not self._keep_logs and not isinstance(error, NetworkError):
            shutil.rmtree(self._log_folder, ignore_errors=True)

    async def play(self, script: Script) -> Played:
        """Play a script under the next free number."""
        for _ in range(ATTEMPTS):
            records: list[StepRecord] = []
            episode, self._episode = self._episode, self._episode + 1
            result = await self._unless_one_ends(
                play(
                    self.server.team,
                    World(ScriptedEnvironment(script, self._spec)),
                    episode=episode,
                    seed=0,
                    pace=PACE,
                    clock=Clock(None),
                    observe=records.append,
                    report_latents=True,
                )
            )
            if not result.masked and not result.idle:
                return Played.of(records)
            # A session ends a moment before its process; if that is why, the watch says so.
            await self._unless_one_ends(asyncio.sleep(NOTICE_S))
        raise NetworkError(
            f"{result.masked} messages and {result.idle} actions were not there in time, {ATTEMPTS} times in a row",
            remedy=f"Look into the nodes' logs in {self._log_folder}",
        )

    async def _everybody(self) -> None:
        team = self.server.team
        await team.wait_for_all(timeout_s=START_TIMEOUT_S)
        if self._has_messages and not await team.wait_until(
            lambda: not team.missing_links(), timeout_s=START_TIMEOUT_S
        ):
            raise NetworkError(f"no streams between the pairs {team.missing_links()} of nodes")

    async def _unless_one_ends(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work, or raise what the watch found."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._watch}, return_when=asyncio.FIRST_COMPLETED)
            if self._watch.done():
                self._watch.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch_nodes(self) -> None:
        while True:
            for ending in self.supervisor.ended():
                lines = ending.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
                words = [line for line in lines if not line.startswith(LOG_PREFIX)][-QUOTED_LINES:]
                raise NodeFailed(str(replace(ending, log_tail="\n".join(words))))
            await asyncio.sleep(WATCH_INTERVAL_S)
