"""One team of node processes that replays script after script.

A message that is not there in time would look like a leak or hide one, so such a replay does not count and is repeated;
a node that ends makes the audit end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from analysis.audit.answers import Answers
from analysis.audit.imports import LOG_PREFIX, traced
from analysis.audit.input_sequence import InputSequence, ReplayedInputs
from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan
from coordinator.running.episode import run_episode
from coordinator.running.node_team import NodeTeam
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import Supervisor, node_command
from coordinator.world.trajectory import StepRecord
from coordinator.world.world import World
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NetworkError

NodeCommand = Callable[[str, int], list[str]]
"""The command line of a node, from the coordinator's address and the slot."""

PACE = Pace(action_deadline_s=60.0, message_deadline_s=20.0)
"""So long that only a broken link or a stuck node misses it, on a loaded machine, too."""

START_TIMEOUT_S = 60.0

NOTICE_S = 1.0
"""How long after a replay that does not count a node may be found to have ended."""

ATTEMPTS = 3
"""How often a script is replayed until every message was in time."""


def standard_node(address: str, slot: int) -> list[str]:
    """The node that `heliograph run` starts."""
    return node_command(address, slot, join_timeout_s=START_TIMEOUT_S)


class ReplayingNodes:
    """An async context manager: inside, every slot has a live node, connected with all others.

    Raises NodeFailed if nodes do not come up or one ends, NetworkError if messages are missing again and again.
    """

    def __init__(
        self, plan: Plan, *, spec: EnvironmentSpec, command: NodeCommand, log_folder: Path | None = None
    ) -> None:
        self.server = CoordinationServer(
            plan.bundles, TeamSettings(run_seed=plan.run_seed, greedy=plan.greedy, report_latents=True)
        )
        self._nodes = NodeTeam(
            self.server,
            command=lambda slot: traced(command(self.server.address, slot)),
            log_folder=log_folder,
            needs_all=True,
            quotes=lambda line: not line.startswith(LOG_PREFIX),
        )
        self._spec = spec
        self._has_messages = plan.manifest.message is not None
        self._episode = 0

    @property
    def supervisor(self) -> Supervisor:
        """Of the node processes."""
        return self._nodes.supervisor

    async def __aenter__(self) -> ReplayingNodes:
        await self._nodes.__aenter__()
        try:
            await self._nodes.during(self._connect())
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._nodes.__aexit__(kind, error, trace)

    async def replay(self, sequence: InputSequence) -> Answers:
        """Replay a script under the next free number."""
        for _ in range(ATTEMPTS):
            records: list[StepRecord] = []
            episode, self._episode = self._episode, self._episode + 1
            result = await self._nodes.during(
                run_episode(
                    self.server.team,
                    World(ReplayedInputs(sequence, self._spec)),
                    episode=episode,
                    seed=0,
                    pace=PACE,
                    clock=Clock(None),
                    observe=records.append,
                )
            )
            if not result.masked and not result.idle:
                return Answers.of(records)
            # A session ends a moment before its process; if that is why, the watch says so.
            await self._nodes.during(asyncio.sleep(NOTICE_S))
        raise NetworkError(
            f"{result.masked} messages and {result.idle} actions were not there in time, {ATTEMPTS} times in a row",
            remedy=f"Look into the nodes' logs in {self.supervisor.log_folder}",
        )

    async def _connect(self) -> None:
        missing = await self._nodes.connect(
            start_timeout_s=START_TIMEOUT_S, connect_timeout_s=START_TIMEOUT_S if self._has_messages else None
        )
        if missing:
            raise NetworkError(f"no streams between the pairs {missing} of nodes")
