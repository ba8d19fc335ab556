"""What a node process costs before it acts: memory, and time from its start to SERVING.

    python benchmarks/node_footprint.py [--sizes 2 10 25] [--starts 5] [--transport grpcio] [--bundles DIR]
                                        [--json FILE]

Real node processes (`python -m agent_node`) with the bundle of an untrained team of the paper's size, as
untrained_team.py makes it, under a real coordinator (`heliograph run --attach`), which hands the bundles out.  First a
single node is started alone, `--starts` times; then whole teams, which play `EPISODES` episodes.  Time is from the
start of the process until its health check answers SERVING; memory is read while the team plays (RSS counts shared
pages in every process, PSS divides them).
`--bundles` keeps exported teams for the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from untrained_team import exported

from heliograph.transports import DEFAULT_TRANSPORT, TRANSPORTS

EPISODES = {2: 200, 10: 40, 25: 12}
"""Long enough to look at the processes while they play."""

POLL_INTERVAL_S = 0.005
START_TIMEOUT_S = 120.0
RUN_TIMEOUT_S = 120.0
END_TIMEOUT_S = 15.0
TARGET_RSS_MB, TARGET_START_S = 90.0, 1.5


@dataclass(kw_only=True)
class Node:
    """A node process, since when it runs, and since when it serves."""

    process: subprocess.Popen[bytes]
    started: float
    log: Path
    serving_s: float | None = None
    channel: grpc.Channel | None = None

    def serves(self) -> bool:
        """Ask its health service, once its log tells the address."""
        if self.serving_s is None:
            if self.process.poll() is not None:
                raise SystemExit(f"a node ended with code {self.process.returncode}:\n{self.log.read_text()}")
            found = re.search(r"listening address=(\S+)", self.log.read_text())
            if found:
                self.channel = self.channel or grpc.insecure_channel(found[1])
                request = health_pb2.HealthCheckRequest()
                with contextlib.suppress(grpc.RpcError):
                    answer = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=1.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        self.serving_s = time.perf_counter() - self.started
                        self.channel.close()
        return self.serving_s is not None

    def memory(self) -> dict[str, float]:
        return memory(self.process.pid)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def memory(pid: int) -> dict[str, float]:
    """RSS, PSS and the peak of RSS of a process, in MB (2**20 bytes)."""
    kilobytes = {}
    for name in ("smaps_rollup", "status"):
        for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
            key, _, value = line.partition(":")
            if value.strip().endswith("kB"):
                kilobytes[key] = int(value.split()[0])
    return {key: kilobytes[key] / 1024 for key in ("Rss", "Pss", "VmHWM")}


class Coordination:
    """A coordinator process that waits for nodes, and the nodes that were started for it; ends them all."""

    def __init__(self, bundles: Path, folder: Path, *, episodes: int, options: Sequence[str] = ()) -> None:
        self._folder = folder
        self.report_path, self._log = folder / "report.json", folder / "coordinator.log"
        command = [sys.executable, "-m", "heliograph", "run", "--log-level", "info", "--bundles", str(bundles)]
        command += ["--attach", "127.0.0.1:0", "--episodes", str(episodes), "--json", str(self.report_path)]
        command += ["--start-timeout-s", str(START_TIMEOUT_S), "--connect-timeout-s", "60", *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._nodes: list[Node] = []

    def __enter__(self) -> Coordination:
        self.address = self.wait_for_line(r"nodes at (\S+)")
        return self

    def __exit__(self, *_: object) -> None:
        for process in [node.process for node in self._nodes] + [self.process]:
            if process.poll() is None:
                process.terminate()
        for process in [node.process for node in self._nodes] + [self.process]:
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, slot: int, *options: str) -> Node:
        log = self._folder / f"agent-{slot}-{len(self._nodes)}.log"
        command = [sys.executable, "-m", "agent_node", "--log-level", "info", "--coordinator", self.address]
        command += ["--slot", str(slot), "--join-timeout-s", str(START_TIMEOUT_S), *options]
        with log.open("wb") as file:
            started = time.perf_counter()
            node = Node(process=subprocess.Popen(command, stdout=file, stderr=file), started=started, log=log)
        self._nodes.append(node)
        return node

    def wait_for_line(self, pattern: str) -> str:
        found: list[str] = []
        until(lambda: bool(found.extend(re.findall(pattern, self._log.read_text())) or found), "the coordinator")
        return found[0]

    def wait_until_playing(self, nodes: Sequence[Node]) -> None:
        """Every node serves, and the first episode has begun."""
        waiting = list(nodes)

        def all_serve() -> bool:
            waiting[:] = [node for node in waiting if not node.serves()]
            return not waiting

        until(all_serve, "the team")
        self.wait_for_line("running address")


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.perf_counter() + START_TIMEOUT_S
    while not done():
        if time.perf_counter() > deadline:
            raise SystemExit(f"gave up on {what} after {START_TIMEOUT_S:g} s")
        time.sleep(POLL_INTERVAL_S)


@contextlib.contextmanager
def coordination(bundles: Path, *, episodes: int, options: Sequence[str] = ()) -> Iterator[Coordination]:
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-footprint-") as folder,
        Coordination(bundles, Path(folder), episodes=episodes, options=options) as running,
    ):
        yield running


def single_starts(bundles: Path, *, starts: int, transport: str) -> dict[str, Any]:
    """One node of a team of two, started alone again and again."""
    seconds, memory = [], []
    with coordination(bundles, episodes=1) as running:
        for _ in range(starts):
            node = running.start(0, "--transport", transport)
            until(node.serves, "the node")
            seconds.append(node.serving_s)
            memory.append(node.memory())
            node.end()
    return {"serving_s": seconds, **medians(memory)}


def team(bundles: Path, size: int, *, transport: str) -> dict[str, Any]:
    """A whole team started at once; its memory while it plays and its steps per second."""
    with coordination(bundles, episodes=EPISODES.get(size, 20)) as running:
        began = time.perf_counter()
        nodes = [running.start(slot, "--transport", transport) for slot in range(size)]
        running.wait_until_playing(nodes)
        playing_s = time.perf_counter() - began
        time.sleep(1.0)  # buffers fill with the first episodes
        memory = [node.memory() for node in nodes]
        running.process.wait(RUN_TIMEOUT_S)
        summary = json.loads(running.report_path.read_text())["summaries"][0]
    return {
        "size": size,
        "serving_s": [node.serving_s for node in nodes],
        "playing_s": playing_s,
        "steps_per_s": summary["steps"] / summary["seconds"],
        "steps": summary["steps"],
        "masked": summary["masked"],
        **medians(memory),
    }


def medians(memory: Sequence[dict[str, float]]) -> dict[str, float]:
    return {f"{key.lower()}_mb": statistics.median(one[key] for one in memory) for key in memory[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 10, 25])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--transport", choices=TRANSPORTS, default=DEFAULT_TRANSPORT)
    parser.add_argument("--bundles", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("skipped: memory is read from Linux's /proc")
        return 0
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="heliograph-teams-") as temporary:
        folder = namespace.bundles or Path(temporary)
        single = results["single"] = single_starts(
            exported(folder, agents=2), starts=namespace.starts, transport=namespace.transport
        )
        print(
            f"one node alone: SERVING after {statistics.median(single['serving_s']):.2f} s (median of "
            f"{namespace.starts}, best {min(single['serving_s']):.2f}; target {TARGET_START_S:g}), RSS "
            f"{single['rss_mb']:.0f} MB (target {TARGET_RSS_MB:g}), PSS {single['pss_mb']:.0f} MB",
            flush=True,
        )
        print(
            f"{'N':>3} {'first SERVING s':>16} {'last':>6} {'playing s':>10} {'RSS MB':>7} {'PSS MB':>7} "
            f"{'peak MB':>8} {'all PSS MB':>11} {'steps/s':>8} {'masked':>7}",
            flush=True,
        )
        results["teams"] = []
        for size in namespace.sizes:
            row = team(exported(folder, agents=size), size, transport=namespace.transport)
            results["teams"].append(row)
            print(
                f"{size:3} {min(row['serving_s']):16.2f} {max(row['serving_s']):6.2f} {row['playing_s']:10.2f} "
                f"{row['rss_mb']:7.1f} {row['pss_mb']:7.1f} {row['vmhwm_mb']:8.1f} {row['pss_mb'] * size:11.0f} "
                f"{row['steps_per_s']:8.1f} {row['masked']:7}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
