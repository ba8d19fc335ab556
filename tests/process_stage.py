"""A stage for teams of real processes: the coordinator in the test, nodes outside, a script before every step."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from relay_team import PATIENT
from tcp_detour import TcpDetour
from warm.starting import at_work_for

from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.running.episode import run_episode
from coordinator.running.node_team import NodeTeam
from coordinator.serving.roster import Member
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.supervisor import Supervisor, node_command
from coordinator.serving.team import Team
from coordinator.serving.team_certificates import coordinator_tls
from coordinator.world.trajectory import EpisodeResult, StepRecord
from coordinator.world.world import World
from heliograph import codecs
from heliograph.bundle import Bundle
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.seeds import episode_seed

START_DEADLINE_S = 30.0
NOTICE_DEADLINE_S = 15.0

Script = Callable[[int], Awaitable[None]]


class Stage:
    """An async context manager: inside, every slot has a live node process, connected but for the `missing` pairs.

    `options(slot)` are more options of a node's command.  `detours[(dialler, peer)]`, dialler < peer, lead over a
    TcpDetour, and `ways_in[slot]` from a node to the coordinator.  With `certificates`, a team's, all talk TLS.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        folder: Path,
        *,
        run_seed: int = 5,
        greedy: bool = False,
        late_policy: str = "mask",
        codec: str = codecs.BIT_PACKED,
        options: Callable[[int], Sequence[str]] = lambda slot: (),
        missing: Sequence[tuple[int, int]] = (),
        detours: Mapping[tuple[int, int], TcpDetour] | None = None,
        ways_in: Mapping[int, TcpDetour] | None = None,
        certificates: Path | None = None,
        rejoin_s: float = START_DEADLINE_S,
    ) -> None:
        self.bundles, self.run_seed, self._missing = bundles, run_seed, list(missing)
        self._detours, self._ways_in = detours or {}, ways_in or {}
        secure = () if certificates is None else ("--tls", str(certificates))
        self.server = CoordinationServer(
            bundles,
            TeamSettings(
                run_seed=run_seed,
                greedy=greedy,
                late_policy=late_policy,
                codec=codec,
                report_latents=True,
                rejoin_s=rejoin_s,
            ),
            reached=ListenSettings(
                tls=None if certificates is None else coordinator_tls(certificates), address_of=self._address_of
            ),
        )
        self._nodes = NodeTeam(
            self.server,
            command=lambda slot: [
                *node_command(self._coordinator_of(slot), slot, join_timeout_s=START_DEADLINE_S),
                *options(slot),
                *secure,
            ],
            log_folder=folder,
        )

    @property
    def team(self) -> Team:
        return self.server.team

    @property
    def supervisor(self) -> Supervisor:
        return self._nodes.supervisor

    @property
    def exit_codes(self) -> dict[int, int]:
        return self._nodes.exit_codes

    async def __aenter__(self) -> Stage:
        await self._nodes.__aenter__()
        try:
            await self._nodes.connect(start_timeout_s=START_DEADLINE_S, connect_timeout_s=None)
            await self.all_connected()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._nodes.__aexit__(kind, error, trace)

    async def until(self, predicate: Callable[[], bool], reason: str) -> None:
        assert await self.team.wait_until(predicate, timeout_s=NOTICE_DEADLINE_S), f"never happened: {reason}"

    async def kill(self, slot: int) -> None:
        """Kill a node's process, and return once it has ended, which others notice by its connections before."""
        process = self.supervisor.process(slot)
        os.kill(at_work_for(process.pid), signal.SIGKILL)
        await asyncio.to_thread(process.wait, NOTICE_DEADLINE_S)

    def send_signal(self, slot: int, number: signal.Signals) -> None:
        """Stop a node's process, or let it go on."""
        os.kill(at_work_for(self.supervisor.process(slot).pid), number)

    async def all_connected(self) -> None:
        await self.until(lambda: self.team.missing_links() == self._missing, "all pairs connected")

    def _coordinator_of(self, slot: int) -> str:
        detour = self._ways_in.get(slot)
        if detour is None:
            return self.server.address
        detour.target = self.server.address
        return detour.address

    def _address_of(self, slot: int, member: Member) -> str:
        detour = self._detours.get((slot, member.slot))
        if detour is None:
            return member.peer_address
        detour.target = member.peer_address
        return detour.address

    async def play(
        self,
        *,
        script: Script | None = None,
        episode: int = 0,
        pace: Pace = PATIENT,
        parameters: Mapping[str, Any] | None = None,
        **world: Any,
    ) -> tuple[EpisodeResult, list[StepRecord]]:
        """Play an episode in an environment with some other parameters, in a world with these arguments of `World`."""
        manifest = self.bundles[0].manifest
        given = manifest.environment_parameters | (parameters or {})
        environment = registry.make(manifest.environment, count=1, parameters=given, permission=EVERYTHING)
        records: list[StepRecord] = []
        result = await run_episode(
            self.team,
            World(environment, **world),
            episode=episode,
            seed=episode_seed(run_seed=self.run_seed, episode=episode),
            pace=pace,
            clock=_ScriptedClock(script),
            observe=records.append,
        )
        return result, records


class _ScriptedClock(Clock):
    """Runs the script before each step instead of waiting for a grid point."""

    def __init__(self, script: Script | None) -> None:
        super().__init__(None)
        self._script, self._step = script, 0

    async def tick(self) -> None:
        if self._script is not None:
            await self._script(self._step)
        self._step += 1
