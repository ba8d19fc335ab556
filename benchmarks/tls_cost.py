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
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import uvloop
from bandwidth_overhead import cell, node_cpu_s
from untrained_team import exported

from coordinator.episode import Clock, Pace, play
from coordinator.plan import Plan, make_plan
from coordinator.server import CoordinationServer
from coordinator.supervisor import Supervisor, node_command
from coordinator.team_certificates import coordinator_tls, temporary
from heliograph.bundle import load_team

KINDS = ("plain", "tls")
MEASURES = ("time", "cpu")
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0


class Crew:
    """A team of processes that talks TLS if there are certificates; an async context manager."""

    def __init__(self, plan: Plan, folder: Path, certificates: Path | None) -> None:
        self._plan, self._world = plan, plan.world("open")
        tls = None if certificates is None else coordinator_tls(certificates)
        options = () if certificates is None else ("--tls", str(certificates))
        self._server = CoordinationServer(plan.bundles, run_seed=0, greedy=True, tls=tls)
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
            await team.wait_for_all(timeout_s=START_TIMEOUT_S)
            if not await team.wait_until(lambda: not team.missing_links(), timeout_s=START_TIMEOUT_S):
                raise SystemExit(f"pairs without a stream: {team.missing_links()}")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def step(self, episode: int) -> tuple[float, float]:
        """Seconds and CPU seconds per step of one episode."""
        started, cpu_started_s = time.perf_counter(), self._cpu_s()
        result = await play(
            self._server.team, self._world, episode=episode, seed=episode, pace=Pace(), clock=Clock(None)
        )
        seconds, cpu_s = time.perf_counter() - started, self._cpu_s() - cpu_started_s
        if result.masked or result.idle:
            raise SystemExit(f"{result.masked} messages and {result.idle} actions were late: the machine is too busy")
        return seconds / result.steps, cpu_s / result.steps

    def rss_mib(self) -> float:
        """Resident memory of one node, the mean of all."""
        return statistics.mean(psutil.Process(pid).memory_info().rss for pid in self._nodes()) / 2**20

    def _nodes(self) -> list[int]:
        return [self._supervisor.process(slot).pid for slot in range(self._server.team.size)]

    def _cpu_s(self) -> float:
        return time.process_time() + sum(map(node_cpu_s, self._nodes()))


async def measure(plan: Plan, *, rounds: int) -> dict[str, Any]:
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-logs-")))
        certificates = stack.enter_context(temporary(len(plan.bundles)))
        crews = {
            kind: await stack.enter_async_context(Crew(plan, folder / kind, certificates if kind == "tls" else None))
            for kind in KINDS
        }
        for episode in range(rounds + 1):
            for kind in KINDS if episode % 2 else reversed(KINDS):
                times = await crews[kind].step(episode)
                if episode > 0:  # the first one warms up
                    taken[kind].append(times)
        found: dict[str, Any] = {"size": len(plan.bundles), "rounds": rounds}
        for kind in KINDS:
            found[kind] = {"rss_mib": crews[kind].rss_mib()}
            for place, name in enumerate(MEASURES):
                ratios = [one[place] / plain[place] for one, plain in zip(taken[kind], taken["plain"], strict=True)]
                found[kind][name] = {
                    "step_s": statistics.median(times[place] for times in taken[kind]),
                    "ratio": statistics.median(ratios),
                    "quartiles": statistics.quantiles(ratios, n=4),
                }
    return found


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
