"""What `--watch` and `--metrics` cost a step, with no page open and with one: against a plain team, in turns.

    python benchmarks/watch_overhead.py [--sizes 2 5] [--rounds 40] [--json FILE]

Four teams of the same untrained bundles (3 million parameters, latents of 160 bits) run at the same time, and play the
same episodes one after another, in an order that turns from round to round:

    plain     nobody is told of anything
    closed    --watch with no page open: latents are reported, records made, nothing is kept
    metrics   --metrics, of the nodes too
    open      --watch with one page that reads its stream, frames included; a process of its own reads it

Each is compared with the plain episode of its own round; printed are the median of those ratios with their quartiles,
of the time of a step and of the CPU that coordinator and nodes took.  What a closed page adds to a step is also timed
on its own, which no other work on the machine disturbs much: records, and latents on their way to the coordinator.
Linux, for the CPU time.  Needs the extras `observe` and `trainer`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from paired_teams import END_TIMEOUT_S, MEASURES, PLAIN, START_TIMEOUT_S, Times, all_connected, cell, in_turns, timed
from untrained_team import exported

from coordinator.commands.arguments import node_metrics
from coordinator.observers.observers import ObservedTeam, observing
from coordinator.observers.settings import ObserverSettings
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from coordinator.running.episode import run_episode
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import Supervisor, node_command
from coordinator.watch.gate import Gate
from coordinator.watch.watcher import Watcher
from coordinator.world.trajectory import Observer, Reply, StepRecord, Tally
from heliograph.bundle import load_team

KINDS = (PLAIN, "closed", "metrics", "open")
GOAL = 0.02
READER = "import sys, urllib.request\nfor line in urllib.request.urlopen(sys.argv[1]): pass"


class Crew:
    """A team of processes that is observed as one of KINDS; an async context manager."""

    def __init__(self, plan: Plan, kind: str, folder: Path) -> None:
        self._plan, self._kind, self._folder = plan, kind, folder / kind
        self._world = plan.world("open")

    async def __aenter__(self) -> Crew:
        plan, kind = self._plan, self._kind
        page = free_address()
        settings = ObserverSettings(
            watch=page if kind in ("closed", "open") else None,
            metrics="127.0.0.1:0" if kind == "metrics" else None,
        )
        async with AsyncExitStack() as stack:
            self._server = CoordinationServer(
                plan.bundles, TeamSettings(run_seed=0, greedy=True, report_latents=settings.wants_latents)
            )
            team = self._server.team
            self._observers = stack.enter_context(
                observing(settings, plan, self._world.spec, ObservedTeam(name=kind, live=lambda: len(team.live)))
            )
            self._observers.begin("open", self._world)
            self._supervisor = Supervisor(
                lambda slot: [
                    *node_command(self._server.address, slot, join_timeout_s=START_TIMEOUT_S),
                    *node_metrics(settings.metrics, slot),
                ],
                log_folder=self._folder,
            )
            stack.enter_context(self._supervisor)
            stack.push_async_callback(self._let_go)
            await stack.enter_async_context(self._server)
            for slot in range(len(plan.bundles)):
                self._supervisor.start(slot)
            await all_connected(team)
            if kind == "open":
                reader = subprocess.Popen([sys.executable, "-c", READER, f"http://{page}/events"])
                stack.callback(reader.wait, END_TIMEOUT_S)
                stack.callback(reader.kill)
                assert self._observers.watcher is not None
                while not self._observers.watcher.pages:
                    await asyncio.sleep(0.01)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _let_go(self) -> None:
        await asyncio.to_thread(self._supervisor.wait, timeout_s=END_TIMEOUT_S)

    async def step(self, episode: int) -> Times:
        """Seconds and CPU seconds per step of one episode."""
        observers = self._observers.each

        def observe(record: StepRecord) -> None:
            for observer in observers:
                observer.step("open", record)

        playing = run_episode(
            self._server.team,
            self._world,
            episode=episode,
            seed=episode,
            pace=Pace(),
            clock=self._observers.clock(None),
            observe=observe if observers else None,
        )
        times, result = await timed(playing, nodes=self._supervisor, size=len(self._plan.bundles))
        for observer in observers:
            observer.episode("open", result)
        return times


def closed_s(plan: Plan) -> float:
    """Seconds that a closed page adds to a step of the whole team, all on one CPU."""
    world, watcher, message = plan.world("open"), Watcher(Gate()), plan.manifest.message
    assert message is not None
    views, codec = world.reset(0), message.codec
    latent = np.arange(message.categoricals, dtype=np.int32) % message.classes
    replies = {slot: Reply(action=0, latent=latent, waited_s=0.0) for slot in range(len(plan.bundles))}
    reward = np.zeros(len(plan.bundles), dtype=np.float32)
    payload = codec.pack(latent)

    def booked_s(observe: Observer | None) -> float:
        kept = None if observe is None else message.categoricals
        tally = Tally(episode=0, seed=0, world=world, observe=observe, categoricals=kept)

        def book() -> None:
            actions = tally.actions(replies)
            tally.add(views=views, replies=replies, actions=actions, reward=reward, latency_s=0.0)

        return best_s(book)

    reported_s = best_s(lambda: codec.pack(latent)) + best_s(lambda: codec.unpack(payload))
    added_s = booked_s(lambda record: watcher.step("open", record)) - booked_s(None)
    return added_s + len(plan.bundles) * reported_s


def best_s(work: Callable[[], object]) -> float:
    loops = 500
    return min(timeit.repeat(work, number=loops, repeat=7)) / loops


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def measure(bundles: Path, *, rounds: int) -> dict[str, Any]:
    plan = make_plan(load_team(bundles))
    with tempfile.TemporaryDirectory(prefix="heliograph-watched-") as folder:
        async with AsyncExitStack() as stack:
            crews = {kind: await stack.enter_async_context(Crew(plan, kind, Path(folder))) for kind in KINDS}
            found = await in_turns(crews, rounds=rounds)
    return {"size": len(plan.bundles), "rounds": rounds, "closed_s": closed_s(plan), **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--rounds", type=int, default=40, help="episodes of each team")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="heliograph-bundles-") as folder:
        for size in namespace.sizes:
            bundles = exported(Path(folder), agents=size)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(measure(bundles, rounds=namespace.rounds))
            results.append(found)
            print(f"{size} agents, {namespace.rounds} rounds; the goal with the page closed is x {1 + GOAL:.2f}")
            for kind in KINDS:
                print(f"  {kind:8}" + "".join(cell(name, found[kind][name]) for name in MEASURES), flush=True)
            share = found["closed_s"] / found[PLAIN]["cpu"]["step_s"]
            print(
                f"  a closed page on its own: {found['closed_s'] * 1e6:.0f} us, {share:.1%} of a step's CPU", flush=True
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
