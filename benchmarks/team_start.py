"""How long a team on this machine takes until every pair of its nodes is connected, and what its nodes then take of it.

    python benchmarks/team_start.py [--sizes 4 16 64] [--models small] [--repeats 3] [--bundles DIR] [--json FILE]

Untrained teams on relay over the lean transport, everybody hearing everybody: nodes that are forked of a template
beside nodes that are started one by one, in turn.  CPU is that of nodes and template, in the kernel's ticks; PSS, which
shares a page among those that have it, is of the median node.  Then twenty steps are played, as fast as they come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from node_sizing import MODELS
from untrained_team import EPISODE_STEPS, exported

from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from coordinator.running import node_team
from coordinator.running.episode import run_episode
from coordinator.running.node_team import NodeTeam
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import node_command
from heliograph.bundle import load_team

KINDS = {"one by one": lambda nodes: False, "forked": lambda nodes: True}
PATIENT = Pace(action_deadline_s=60, message_deadline_s=30)
TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """One start of a team."""

    connected_s: float
    cpu_s: float
    """Of each node, until then."""
    pss_mb: float
    steps_per_s: float


async def started(plan: Plan) -> Start:
    def command(slot: int) -> list[str]:
        return [*node_command(server.address, slot, join_timeout_s=TIMEOUT_S), "--transport", "lean"]

    server = CoordinationServer(plan.bundles, TeamSettings(run_seed=0, greedy=True))
    size = server.team.size
    with tempfile.TemporaryDirectory(prefix="heliograph-logs-") as logs:
        async with NodeTeam(server, command=command, log_folder=Path(logs)) as nodes:
            began = time.monotonic()
            missing = await nodes.connect(start_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S)
            connected = time.monotonic() - began
            assert missing == [], f"no stream between {missing}"
            cpu = sum(sum(each.cpu_times()[:2]) for each in psutil.Process().children())
            pids = [nodes.supervisor.process(slot).pid for slot in range(size)]
            pss = statistics.median(psutil.Process(pid).memory_full_info().pss for pid in pids)
            began = time.monotonic()
            await run_episode(server.team, plan.world("open"), episode=0, seed=0, pace=PATIENT, clock=Clock(None))
            seconds = time.monotonic() - began
            await server.team.dismiss("it has started", timeout_s=TIMEOUT_S)
    return Start(connected_s=connected, cpu_s=cpu / size, pss_mb=pss / 1e6, steps_per_s=EPISODE_STEPS / seconds)


def median(starts: list[Start], figure: Callable[[Start], float]) -> float:
    return statistics.median(map(figure, starts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["small"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bundles", type=Path, help="keep exported teams here for the next time")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[dict[str, object]] = []
    print("model    N  nodes are    connected s  CPU s each  PSS MB each  steps/s")
    with tempfile.TemporaryDirectory(prefix="heliograph-teams-") as temporary:
        for model in arguments.models:
            hidden, layers = MODELS[model]
            for size in arguments.sizes:
                folder = exported(arguments.bundles or Path(temporary), agents=size, hidden=hidden, layers=layers)
                plan = make_plan(load_team(folder), episodes=1)
                starts: dict[str, list[Start]] = {kind: [] for kind in KINDS}
                for _ in range(arguments.repeats):
                    for kind, pays in KINDS.items():
                        node_team.pays = pays
                        starts[kind].append(asyncio.run(started(plan)))
                for kind, each in starts.items():
                    print(
                        f"{model:<6}{size:>4}  {kind:<11}{median(each, lambda one: one.connected_s):>13.1f}"
                        f"{median(each, lambda one: one.cpu_s):>12.2f}{median(each, lambda one: one.pss_mb):>13.0f}"
                        f"{median(each, lambda one: one.steps_per_s):>9.1f}",
                        flush=True,
                    )
                    found += [{"model": model, "agents": size, "nodes": kind} | asdict(one) for one in each]
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
