"""What counting costs: the time of a step with the accounts of the bandwidth tool, and without.

    python benchmarks/bandwidth_overhead.py [--sizes 2 5] [--rounds 30] [--json FILE]

Three teams of node processes, of an untrained model of the paper's size (see untrained_team.py), take turns episode by
episode, so that whatever else the machine does meets all of them: `plain` reports no latents and keeps no records;
`counted` reports every latent and keeps who was sent what; `proxied` does so over the counting proxy,
which is a detour of its own.  A step's time is that of its episode over its steps; its CPU time is that of coordinator
and nodes together, which other work on the machine disturbs less.  Ratios are medians over the rounds of the ratio to
`plain` in the same round, with the quartiles.  Linux, for the CPU time.

The nodes' own counters are always on; what they cost is timed on their own: the additions of one step, for one node.
The goal is that both together stay under 5 % of a step.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import timeit
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop
from paired_teams import END_TIMEOUT_S, MEASURES, PLAIN, START_TIMEOUT_S, Times, all_connected, cell, in_turns, timed
from untrained_team import exported

from agent_node.counters import CounterTable
from coordinator.links.accounting import Account
from coordinator.links.links import Links
from coordinator.links.proxied_links import ProxiedLinks
from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from coordinator.running.episode import run_episode
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.supervisor import Supervisor
from heliograph.bundle import load_team

KINDS = (PLAIN, "counted", "proxied")
GOAL = 0.05


class Crew:
    """A team of processes that is counted in one of KINDS; an async context manager."""

    def __init__(self, plan: Plan, kind: str, folder: Path) -> None:
        make_links = ProxiedLinks if kind == "proxied" else Links
        self._links = make_links(team_size=len(plan.bundles), listen="127.0.0.1:0")
        self._plan, self._counts = plan, kind != PLAIN
        self._folder = folder / kind
        self._world = plan.world("open")

    async def __aenter__(self) -> Crew:
        plan, links = self._plan, self._links
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(links)
            self._server = CoordinationServer(
                plan.bundles,
                TeamSettings(run_seed=0, greedy=True, report_latents=self._counts),
                reached=ListenSettings(address_of=links.address_of),
            )
            self._supervisor = Supervisor(
                lambda slot: links.command(slot, self._server.address, join_timeout_s=START_TIMEOUT_S),
                log_folder=self._folder,
            )
            stack.enter_context(self._supervisor)
            stack.push_async_callback(self._let_go)
            await stack.enter_async_context(self._server)
            for slot in range(len(plan.bundles)):
                self._supervisor.start(slot)
            await all_connected(self._server.team)
            message = plan.manifest.message
            assert message is not None
            self._account = Account(links, codec=message.codec, manifest=plan.manifest)
            self._account.begin()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _let_go(self) -> None:
        # In a thread, because the proxy has to pass on what the nodes say while they leave.
        await asyncio.to_thread(self._supervisor.wait, timeout_s=END_TIMEOUT_S)

    async def step(self, episode: int) -> Times:
        """Seconds and CPU seconds per step of one episode."""
        playing = run_episode(
            self._server.team,
            self._world,
            episode=episode,
            seed=episode,
            pace=Pace(),
            clock=Clock(None),
            observe=(lambda record: self._account.step("open", record)) if self._counts else None,
        )
        times, _ = await timed(playing, nodes=self._supervisor, size=len(self._plan.bundles))
        return times

    async def check(self) -> None:
        """Raises MessageError unless all counts agree."""
        self._account.report(await self._server.team.reading(), doubt=None)


def counters_s(peers: int) -> float:
    """Seconds of one node's additions of one step: a message to and one from each peer."""
    counts = CounterTable()

    def step() -> None:
        for peer in range(peers):
            counters = counts[peer]
            counters.sent += 1
            counters.sent_bytes += 30
            counters.sent_bits += 160
            counters = counts[peer]
            counters.delivered += 1
            counters.delivered_bytes += 30
            counters.read += 1

    loops = 2000
    return min(timeit.repeat(step, number=loops, repeat=5)) / loops


async def measure(bundles: Path, *, rounds: int) -> dict[str, Any]:
    plan = make_plan(load_team(bundles))
    with tempfile.TemporaryDirectory(prefix="heliograph-overhead-") as folder:
        async with AsyncExitStack() as stack:
            crews = {kind: await stack.enter_async_context(Crew(plan, kind, Path(folder))) for kind in KINDS}
            found: dict[str, Any] = await in_turns(crews, rounds=rounds)
            for kind in KINDS[1:]:
                await crews[kind].check()
    size = len(plan.bundles)
    own_s = counters_s(size - 1)
    # All nodes add at the same time, but on one CPU one after the other.
    share = size * own_s / found[PLAIN]["cpu"]["step_s"]
    return {"size": size, "rounds": rounds, "node_counters_s": own_s, "node_counters_share": share, **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--rounds", type=int, default=30, help="episodes of each team")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="heliograph-bundles-") as folder:
        for size in namespace.sizes:
            bundles = exported(Path(folder), agents=size)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(measure(bundles, rounds=namespace.rounds))
            results.append(found)
            print(f"{size} agents, {namespace.rounds} rounds")
            for kind in KINDS:
                print(f"  {kind:8}" + "".join(cell(measure, found[kind][measure]) for measure in MEASURES))
            share = found["counted"]["cpu"]["ratio"] - 1 + found["node_counters_share"]
            print(
                f"  the nodes' counters: {found['node_counters_s'] * 1e6:.2f} us for each node, "
                f"{found['node_counters_share']:.2%} of a step's CPU; with the accounts {share:.1%}, goal {GOAL:.0%}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
