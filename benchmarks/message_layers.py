"""Bytes per message at every layer, for teams of several sizes, in one go.

    sudo python benchmarks/message_layers.py [--sizes 2 5 10] [--episodes 4] [--period-ms 20] [--json FILE]

Untrained teams of the paper's size (see untrained_team.py) play the same episodes of relay twice: over the loopback
through the counting proxy, which tells HTTP/2 frames apart, and in namespaces, where the kernel counts IP packets on a
virtual link per pair.  What agents do and say is compared, and is the same.  Every number says how it is known.
Without root on Linux the second run is left out, with the reason.

The pace matters to IP: a message that finds no other to travel with is acknowledged by a packet of its own after 40 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from untrained_team import exported

from coordinator.bandwidth.layers.link_plan import KINDS, NAMESPACES, LinkPlan
from coordinator.bandwidth.layers.wire_report import LAYERS, WireReport
from coordinator.episode import Pace
from coordinator.plan import make_plan
from coordinator.rollout import Staging, run_processes
from heliograph.bundle import load_team
from heliograph.network import capabilities as can


def measure(bundles: Path, *, episodes: int, period_s: float, kinds: list[str], folder: Path) -> dict[str, WireReport]:
    """The wire report over links of each kind.  Raises SystemExit if what was played differs."""
    reports, recordings = {}, set()
    for kind in kinds:
        record = folder / f"{kind}.jsonl"
        pace = Pace(period_s=period_s, message_deadline_s=4.0)
        plan = make_plan(load_team(bundles), episodes=episodes, record=record, pace=pace)
        report = run_processes(plan, Staging(links=LinkPlan(kind=kind)))
        if report.interrupted or report.wire is None:
            raise SystemExit("interrupted")
        reports[kind] = report.wire
        recordings.add(record.read_bytes())
    if len(recordings) > 1:
        raise SystemExit("the team did not play the same over different links")
    return reports


def row(size: int, kind: str, wire: WireReport) -> dict[str, Any]:
    frames: dict[str, float] = {}
    for link in wire.links:
        for name, count in (link.frames or {}).items():
            frames[name] = frames.get(name, 0.0) + count.bytes / wire.messages
    segments = [link.tcp_segments for link in wire.links]
    return {
        "agents": size,
        "links": kind,
        "messages": wire.messages,
        **{f"{layer}_bytes": wire.bytes_per_message(layer) for layer in LAYERS},
        "frame_bytes": frames,
        "segments": None if None in segments else sum(filter(None, segments)) / wire.messages,
        "labels": {layer: provenance.label for layer, provenance in wire.layers.items()},
        "conservation": list(wire.conservation),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--episodes", type=int, default=4, help="of 20 steps each")
    parser.add_argument("--period-ms", type=float, default=20.0, help="steps start on a clock with this period")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    real = can.capability(can.NAMESPACES)
    kinds = [kind for kind in KINDS if kind != NAMESPACES or real.works]
    rows = []
    print(
        f"bytes per message, a step every {namespace.period_ms:g} ms; m measured, c computed\n"
        f"agents links      messages  latent   codec protobuf   HTTP/2       IP segments"
    )
    with tempfile.TemporaryDirectory(prefix="heliograph-layers-") as name:
        folder = Path(name)
        for size in namespace.sizes:
            reports = measure(
                exported(folder, agents=size),
                episodes=namespace.episodes,
                period_s=namespace.period_ms * 1e-3,
                kinds=kinds,
                folder=folder,
            )
            for kind, wire in reports.items():
                found = row(size, kind, wire)
                rows.append(found)
                cells = [cell(found, layer) for layer in LAYERS]
                print(
                    f"{size:6} {kind:10} {wire.messages:8} {cells[0]:>7} {cells[1]:>7} {cells[2]:>8} {cells[3]:>8} "
                    f"{cells[4]:>8} {found['segments'] or float('nan'):8.2f}",
                    flush=True,
                )
            frames = next(found["frame_bytes"] for found in rows if found["agents"] == size)
            print("       frames: " + ", ".join(f"{name} {size:.1f}" for name, size in frames.items()))
    for found in rows:
        for sentence in found["conservation"]:
            print(f"{found['agents']} agents, {found['links']}: {sentence}")
    if not real.works:
        print(f"IP was not measured by the kernel: {real.reason}. {real.remedy}")
    if namespace.json:
        namespace.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def cell(found: dict[str, Any], layer: str) -> str:
    size = found[f"{layer}_bytes"]
    return "-" if size is None else f"{size:.1f} {found['labels'][layer][0]}"


if __name__ == "__main__":
    sys.exit(main())
