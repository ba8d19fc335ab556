"""What a node and its coordinator need while a team plays: CPU, memory and bandwidth, by team size.

    python benchmarks/node_sizing.py [--sizes 2 5 10 25 50] [--models small paper] [--seconds 20] [--bundles DIR]
                                     [--transport grpcio] [--json FILE]

Untrained teams on relay, everybody hearing everybody, as processes on this machine, as fast as they can.  Bytes are the
kernel's own count of each TCP connection (`ss --info`), with 52 bytes of IPv4 and TCP headers for each of its segments;
CPU is the kernel's count for each process.  Both are of a window while the team plays, per step, which node 0 counts;
the figure of a node is the median over the team.  One step asks every node for one message to each of its N - 1 peers.
Nothing is masked: deadlines are long, so a machine that is too small for a team takes longer instead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from node_footprint import Coordination, Node, coordination, memory
from untrained_team import exported

from heliograph.transports import DEFAULT_TRANSPORT, TRANSPORTS

MODELS = {"small": (64, 1), "paper": (256, 3)}
"""Width, and layers of communication; latents are 32 x 32 in both."""

HEADER_BYTES = 52
"""IPv4 20, TCP 20, its time stamps 12."""

WARM_UP_S = 3.0
DEADLINES = ("--message-deadline-s", "30", "--action-deadline-s", "60")
ENDLESS_EPISODES = 10**9


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process has used since it began."""

    cpu_s: float
    sent_bytes: int
    received_bytes: int

    @classmethod
    def of(cls, pid: int, sockets: str) -> Usage:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        counts = dict.fromkeys(("bytes_sent", "bytes_received", "segs_out", "segs_in"), 0)
        for line in sockets.splitlines():
            if f"pid={pid}," in line:
                for name in counts:
                    found = re.search(rf"\b{name}:(\d+)", line)
                    counts[name] += int(found[1]) if found else 0
        return cls(
            cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
            sent_bytes=counts["bytes_sent"] + HEADER_BYTES * counts["segs_out"],
            received_bytes=counts["bytes_received"] + HEADER_BYTES * counts["segs_in"],
        )


@dataclass(frozen=True, kw_only=True)
class PerStep:
    """What a process needs for one step of its team, and the memory that it holds."""

    cpu_ms: float
    sent_bytes: float
    received_bytes: float
    rss_mb: float
    pss_mb: float


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A team that was measured."""

    model: str
    size: int
    steps_per_s: float
    masked: float
    node: PerStep
    coordinator: PerStep


def counted(metrics: str, name: str) -> float:
    """The sum of a metric over its labels."""
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, flags=re.MULTILINE)
    return sum(map(float, values))


def scrape(address: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()
    steps = counted(metrics, "heliograph_node_step_seconds_count") / 2  # waited, and computed
    return {"steps": steps, "masked": counted(metrics, "heliograph_link_masked_total")}


def measured(running: Coordination, nodes: list[Node], *, seconds: float, model: str) -> Sized:
    """Look at processes that play, at both ends of a window."""
    (address,) = re.findall(r"metrics address=(\S+)", nodes[0].log.read_text())
    pids = [running.process.pid, *(node.process.pid for node in nodes)]

    def look() -> tuple[float, dict[str, float], list[Usage]]:
        sockets = subprocess.run(["ss", "-tinpOH"], capture_output=True, text=True, check=True).stdout
        return time.perf_counter(), scrape(address), [Usage.of(pid, sockets) for pid in pids]

    began, before, first = look()
    time.sleep(seconds)
    ended, after, last = look()
    steps = after["steps"] - before["steps"]
    held = [memory(pid) for pid in pids]
    each = [
        PerStep(
            cpu_ms=1000 * (end.cpu_s - start.cpu_s) / steps,
            sent_bytes=(end.sent_bytes - start.sent_bytes) / steps,
            received_bytes=(end.received_bytes - start.received_bytes) / steps,
            rss_mb=mb["Rss"],
            pss_mb=mb["Pss"],
        )
        for start, end, mb in zip(first, last, held, strict=True)
    ]
    typical = {name: statistics.median(getattr(one, name) for one in each[1:]) for name in PerStep.__annotations__}
    return Sized(
        model=model,
        size=len(nodes),
        steps_per_s=steps / (ended - began),
        masked=after["masked"] - before["masked"],
        node=PerStep(**typical),
        coordinator=each[0],
    )


def team(bundles: Path, *, size: int, seconds: float, model: str, transport: str) -> Sized:
    with coordination(bundles, episodes=ENDLESS_EPISODES, options=DEADLINES) as running:
        speaks = ("--transport", transport)
        first = running.start(0, "--metrics", "127.0.0.1:0", *speaks)
        nodes = [first, *(running.start(slot, *speaks) for slot in range(1, size))]
        running.wait_until_playing(nodes)
        time.sleep(WARM_UP_S)
        return measured(running, nodes, seconds=seconds, model=model)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 5, 10, 25, 50])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--transport", choices=TRANSPORTS, default=DEFAULT_TRANSPORT)
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="keep exported teams here for the next time")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("skipped: figures are read from Linux's kernel")
        return 0
    print(
        f"{'model':6} {'N':>3} {'steps/s':>8} | node {'CPU ms':>8} {'RSS MB':>7} {'PSS MB':>7} {'sent B':>8} "
        f"{'received':>8} | coordinator {'CPU ms':>8} {'RSS MB':>7} {'sent B':>8} | {'masked':>6}   (per step)",
        flush=True,
    )
    rows = []
    with tempfile.TemporaryDirectory(prefix="heliograph-teams-") as temporary:
        for model in namespace.models:
            hidden, layers = MODELS[model]
            for size in namespace.sizes:
                bundles = exported(namespace.bundles or Path(temporary), agents=size, hidden=hidden, layers=layers)
                row = team(bundles, size=size, seconds=namespace.seconds, model=model, transport=namespace.transport)
                rows.append(asdict(row))
                node, coordinator = row.node, row.coordinator
                print(
                    f"{model:6} {size:3} {row.steps_per_s:8.1f} |      {node.cpu_ms:8.2f} {node.rss_mb:7.0f} "
                    f"{node.pss_mb:7.0f} {node.sent_bytes:8.0f} {node.received_bytes:8.0f} |             "
                    f"{coordinator.cpu_ms:8.2f} {coordinator.rss_mb:7.0f} {coordinator.sent_bytes:8.0f} | "
                    f"{row.masked:6.0f}",
                    flush=True,
                )
    if namespace.json:
        namespace.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
