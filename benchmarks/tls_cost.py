"""What mutual TLS costs a step: the same team with it and in plaintext, in turns.

    python benchmarks/tls_cost.py [--sizes 2 5] [--rounds 40] [--json FILE]

Two teams of node processes of the same untrained bundles (see untrained_team.py) run at the same time, and play the
same episodes one after the other, first one and then the other beginning, so that whatever else the machine does meets
both.  Ratios are medians over the rounds of the ratio to the plaintext episode of the same round, with their quartiles;
CPU time is that of coordinator and nodes together.  Then, what an idle node holds in memory with TLS and without.
Linux, for CPU time and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import uvloop
from paired_teams import END_TIMEOUT_S, MEASURES, PLAIN, START_TIMEOUT_S, Times, all_connected, cell, in_turns, timed
from untrained_team import exported

from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from coordinator.running.episode import run_episode
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.supervisor import Supervisor, node_command
from coordinator.serving.team_certificates import coordinator_tls, temporary
from heliograph.bundle import load_team

KINDS = (PLAIN, "tls")


class Crew:
    """A team of processes that talks TLS if there are certificates; an async context manager."""

    def __init__(self, plan: Plan, folder: Path, certificates: Path | None) -> None:
        self._plan, self._world = plan, plan.world("open")
        tls = None if certificates is None else coordinator_tls(certificates)
        options = () if certificates is None else ("--tls", str(certificates))
        self._server = CoordinationServer(
            plan.bundles, TeamSettings(run_seed=0, greedy=True), reached=ListenSettings(tls=tls)
        )
        self._supervisor = Supervisor(
            lambda slot: [*node_command(self._server.address, slot, join_timeout_s=START_TIMEOUT_S), *options],
            log_folder=folder,
        )

    async def __aenter__(self) -> Crew:
        team = self._server.team
        async with AsyncExitStack() as stack:
            stack.enter_context(self._supervisor)
            stack.push_async_callback(asyncio.to_thread, self._supervisor.wait, timeout_s=END_TIMEOUT_S)
            await stack.enter_async_context(self._server)
            for slot in range(team.size):
                self._supervisor.start(slot)
            await all_connected(team)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def step(self, episode: int) -> Times:
        """Seconds and CPU seconds per step of one episode."""
        playing = run_episode(
            self._server.team, self._world, episode=episode, seed=episode, pace=Pace(), clock=Clock(None)
        )
        times, _ = await timed(playing, nodes=self._supervisor, size=self._server.team.size)
        return times

    def rss_mib(self) -> float:
        """Resident memory of one node, the mean of all."""
        nodes = [self._supervisor.process(slot).pid for slot in range(self._server.team.size)]
        return statistics.mean(psutil.Process(pid).memory_info().rss for pid in nodes) / 2**20


async def measure(plan: Plan, *, rounds: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-logs-")))
        certificates = stack.enter_context(temporary(len(plan.bundles)))
        crews = {
            kind: await stack.enter_async_context(Crew(plan, folder / kind, certificates if kind == "tls" else None))
            for kind in KINDS
        }
        found = await in_turns(crews, rounds=rounds)
        kept = {kind: {"rss_mib": crews[kind].rss_mib(), **found[kind]} for kind in KINDS}
    return {"size": len(plan.bundles), "rounds": rounds, **kept}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--rounds", type=int, default=40, help="episodes of each team")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="heliograph-bundles-") as folder:
        for size in namespace.sizes:
            plan = make_plan(load_team(exported(Path(folder), agents=size)))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(measure(plan, rounds=namespace.rounds))
            results.append(found)
            print(f"{size} agents, {namespace.rounds} rounds")
            for kind in KINDS:
                cells = "".join(cell(name, found[kind][name]) for name in MEASURES)
                print(f"  {kind:6}{cells}  {found[kind]['rss_mib']:.1f} MiB a node", flush=True)
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
