"""Bytes per message at every layer, for teams of several sizes and two codecs, in one go.

    sudo python benchmarks/message_layers.py [--bundles DIR ... | --sizes 2 5 10] [--episodes 4] [--period-ms 20]
                                             [--json FILE] [--plot FILE]

Teams (trained ones, given as folders of bundles; otherwise untrained ones of the paper's size, see untrained_team.py)
play the same episodes with bit-packed and, where their bundles hold tables, with entropy-coded latents, each over the
loopback through the counting proxy, which tells HTTP/2 frames apart, and in namespaces, where the kernel counts IP
packets on a virtual link per pair.  What agents perceive, do and say is compared, and is the same to the last bit.
Every number says how it is known.  Without root on Linux the namespaces are left out, with the reason.

The pace matters to IP: a message that finds no other to travel with is acknowledged by a packet of its own after 40 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from untrained_team import exported

from coordinator.links.link_plan import KINDS, NAMESPACES, LinkPlan
from coordinator.links.wire_report import LAYERS, WireReport
from coordinator.plan.pace import Pace
from coordinator.plan.plan import make_plan
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from heliograph.bundle import Bundle, load_team
from heliograph.codecs import BIT_PACKED
from heliograph.network import capabilities as can

ENTROPY = "entropy"


def measure(
    bundles: tuple[Bundle, ...], *, episodes: int, period_s: float, kinds: list[str], record: Path
) -> Iterator[tuple[str, str, float, WireReport]]:
    """(codec, kind of links, outcome, wire report) in turn.  Raises SystemExit if what was played differs."""
    codecs = [BIT_PACKED] if bundles[0].tables is None else [BIT_PACKED, ENTROPY]
    played = set()
    for codec in codecs:
        for kind in kinds:
            pace = Pace(period_s=period_s, message_deadline_s=4.0)
            plan = make_plan(bundles, episodes=episodes, record=record, pace=pace, codec=codec)
            report = run_processes(plan, LaunchSettings(links=LinkPlan(kind=kind)))
            if report.interrupted or report.wire is None:
                raise SystemExit("interrupted")
            # The first line names the codec and the last one counts bits; all between is what happened.
            played.add(hashlib.sha256(b"".join(record.read_bytes().splitlines(keepends=True)[1:-1])).hexdigest())
            yield codec, kind, report.summaries[0].outcome.mean, report.wire
    if len(played) > 1:
        raise SystemExit("the team did not play the same over different links, or with another codec")


def row(size: int, codec: str, kind: str, outcome: float, wire: WireReport) -> dict[str, Any]:
    frames: dict[str, float] = {}
    for link in wire.links:
        for name, count in (link.frames or {}).items():
            frames[name] = frames.get(name, 0.0) + count.bytes / wire.messages
    segments = [link.tcp_segments for link in wire.links]
    return {
        "agents": size,
        "codec": codec,
        "links": kind,
        "outcome": outcome,
        "messages": wire.messages,
        **{f"{layer}_bytes": wire.bytes_per_message(layer) for layer in LAYERS},
        "frame_bytes": frames,
        "segments": None if None in segments else sum(filter(None, segments)) / wire.messages,
        "labels": {layer: provenance.label for layer, provenance in wire.layers.items()},
        "conservation": list(wire.conservation),
    }


def rows_of(teams: Iterable[Path], *, folder: Path, **how: Any) -> Iterator[dict[str, Any]]:
    for path in teams:
        bundles = tuple(load_team(path))
        for found in measure(bundles, record=folder / "record.jsonl", **how):
            yield row(len(bundles), *found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, nargs="+", default=[], metavar="DIR", help="trained teams")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5, 10], help="of untrained teams")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--period-ms", type=float, default=20.0, help="steps start on a clock with this period")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    namespace = parser.parse_args()
    real = can.capability(can.NAMESPACES)
    kinds = [kind for kind in KINDS if kind != NAMESPACES or real.works]
    rows = []
    print(
        f"bytes per message, a step every {namespace.period_ms:g} ms; m measured, c computed\n"
        f"agents codec      links      outcome messages  latent   codec protobuf   HTTP/2       IP segments"
    )
    with tempfile.TemporaryDirectory(prefix="heliograph-layers-") as name:
        folder = Path(name)
        teams = namespace.bundles or (exported(folder, agents=size) for size in namespace.sizes)
        how = {"episodes": namespace.episodes, "period_s": namespace.period_ms * 1e-3, "kinds": kinds}
        for found in rows_of(teams, folder=folder, **how):
            rows.append(found)
            cells = [cell(found, layer) for layer in LAYERS]
            print(
                f"{found['agents']:6} {found['codec']:10} {found['links']:10} {found['outcome']:7.3f} "
                f"{found['messages']:8} {cells[0]:>7} {cells[1]:>7} {cells[2]:>8} {cells[3]:>8} {cells[4]:>8} "
                f"{found['segments'] or float('nan'):8.2f}",
                flush=True,
            )
            if found["frame_bytes"]:
                print("       " + ", ".join(f"{name} {size:.1f}" for name, size in found["frame_bytes"].items()))
    for found in rows:
        for sentence in found["conservation"]:
            print(f"{found['agents']} agents, {found['codec']}, {found['links']}: {sentence}")
    if not real.works:
        print(f"IP was not measured by the kernel: {real.reason}. {real.remedy}")
    if namespace.json:
        namespace.json.write_text(json.dumps(rows, indent=2) + "\n")
    if namespace.plot:
        draw(namespace.plot, rows)
    return 0


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """A group of bars per team and codec, over those links on which most was measured."""
    from matplotlib.figure import Figure

    best = {(found["agents"], found["codec"]): found for found in rows}  # namespaces come last
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    panel = figure.subplots()
    width = 0.8 / len(best)
    for place, ((agents, codec), found) in enumerate(best.items()):
        # What was not measured has no bar, nor a number.
        sizes = [math.nan if found[f"{layer}_bytes"] is None else found[f"{layer}_bytes"] for layer in LAYERS]
        bars = panel.bar(
            [x + (place - (len(best) - 1) / 2) * width for x in range(len(LAYERS))],
            sizes,
            width=width * 0.9,
            label=f"{agents} agents, {codec}",
        )
        panel.bar_label(bars, fmt="%.0f", fontsize=6)
    panel.set_xticks(range(len(LAYERS)), LAYERS)
    panel.set(ylabel="bytes per message", title="What one message of 32 x 32 ids costs, layer by layer")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(path, dpi=110)


def cell(found: dict[str, Any], layer: str) -> str:
    size = found[f"{layer}_bytes"]
    return "-" if size is None else f"{size:.1f} {found['labels'][layer][0]}"


if __name__ == "__main__":
    sys.exit(main())
