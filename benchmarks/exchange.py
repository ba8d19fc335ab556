"""What an exchange of messages among all costs: round latency and CPU per message, for Heliograph and for less code.

    python benchmarks/exchange.py [--sizes 2 5 10] [--repeats 7] [--seconds 1.0] [--json FILE]

N processes, a full mesh: in every round each tells all others one message of 160 bits and waits for theirs, round
after round.  `heliograph` is the node's own code without a model over grpcio, `lean` the same over the lean transport,
`lean tls` that with mutual TLS, `grpc stream` the least code with one bidirectional grpc.aio stream per pair,
`grpc unary` one call per message, `raw tcp` frames on plain connections; all on uvloop.
The same processes hold all meshes and play them in turn, in short slices, so that other load on the machine hits
all alike: read the ratios, which are medians of the slices' ratios.  CPU per message is user and system time of all
processes, sending and receiving together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from mesh_members import Members
from meshes import CERTIFICATES

from heliograph.certificates.folder import make_team, team

NAMES = ("heliograph", "lean", "lean tls", "grpc stream", "grpc unary", "raw tcp")
WARM_UP_ROUNDS = 10
PROBE_ROUNDS = 30
ROUNDS_AT_LEAST, ROUNDS_AT_MOST = 20, 4000


async def measure(size: int, *, repeats: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Per mesh one dictionary a slice."""
    slices: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    async with Members(size, NAMES) as members:
        rounds = {}
        for name in NAMES:
            probe = summary(await members.play(name, rounds=PROBE_ROUNDS, warm_up=WARM_UP_ROUNDS), size)
            rounds[name] = min(ROUNDS_AT_MOST, max(ROUNDS_AT_LEAST, int(seconds / probe["p50_s"])))
        for repeat in range(repeats):
            # In turn forwards and backwards, so that none profits from what runs before it.
            for name in NAMES if repeat % 2 == 0 else NAMES[::-1]:
                played = await members.play(name, rounds=rounds[name], warm_up=WARM_UP_ROUNDS)
                slices[name].append(summary(played, size))
    return slices


def summary(played: list[dict[str, Any]], size: int) -> dict[str, float]:
    rounds_s = sorted(round_s for member in played for round_s in member["rounds_s"])
    messages = size * (size - 1) * len(played[0]["rounds_s"])
    return {
        "p50_s": statistics.median(rounds_s),
        "p99_s": rounds_s[int(0.99 * (len(rounds_s) - 1))],
        "cpu_per_message_s": sum(member["cpu_s"] for member in played) / messages,
        "missed": sum(member["missed"] for member in played),
    }


def rows(size: int, slices: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    found = []
    for name in NAMES:
        row: dict[str, Any] = {"size": size, "mesh": name, "slices": slices[name]}
        for key in ("p50_s", "p99_s", "cpu_per_message_s"):
            row[key] = statistics.median(one[key] for one in slices[name])
        for other in ("grpc stream", "raw tcp"):
            for key in ("p50_s", "cpu_per_message_s"):
                pairs = zip(slices[name], slices[other], strict=True)
                row[f"{key} x {other}"] = statistics.median(mine[key] / theirs[key] for mine, theirs in pairs)
        row["missed"] = sum(one["missed"] for one in slices[name])
        found.append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 5, 10])
    parser.add_argument("--repeats", type=int, default=7, help="slices of each mesh")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a slice, about")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = []
    print(
        f"{'N':>3} {'mesh':12} {'p50 ms':>8} {'p99 ms':>8} {'CPU/msg us':>11} {'p50 x stream':>13} {'x tcp':>7} "
        f"{'CPU x stream':>13} {'x tcp':>7} {'missed':>7}",
        flush=True,
    )
    for size in namespace.sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_team(Path(folder), team(size))
            os.environ[CERTIFICATES] = folder
            measured = asyncio.run(measure(size, repeats=namespace.repeats, seconds=namespace.seconds))
        for row in rows(size, measured):
            results.append(row)
            print(
                f"{size:3} {row['mesh']:12} {row['p50_s'] * 1e3:8.3f} {row['p99_s'] * 1e3:8.3f} "
                f"{row['cpu_per_message_s'] * 1e6:11.1f} {row['p50_s x grpc stream']:13.2f} "
                f"{row['p50_s x raw tcp']:7.2f} {row['cpu_per_message_s x grpc stream']:13.2f} "
                f"{row['cpu_per_message_s x raw tcp']:7.2f} {row['missed']:7}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
