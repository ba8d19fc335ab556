"""What floods of a node's port do to its team, over either transport.

    python benchmarks/peer_attacks.py [--transports lean grpcio] [--seconds 5] [--rate 20] [--share 0.3] [--json FILE]

Three processes run a full mesh of messages at a fixed rate (the node's own code without a model), and a fourth attacks
the port of the first, in plaintext, from the same machine.  It is held to a share of a core: it counts its own
processor time and pauses when it is ahead.  `silence`, before each attack, burns the same share without a
connection.  First it says what each flood costs a lean server until it is cut.  Shown are rounds per second as a share
of the rate, the processor time of the attacked process per second, and what its resident set has grown by.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import multiprocessing
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil
from fuzz_lean import NoSocket, accept
from h2.config import H2Configuration
from h2.connection import H2Connection
from mesh_members import Members

from agent_node.transport.lean.server import AcceptedLink, LeanServer
from heliograph.http2 import PREFACE, FrameHeader
from heliograph.refusals import Refusals

SIZE = 3
MESH = {"lean": "lean", "grpcio": "heliograph"}
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/heliograph.v1.Peer/Exchange"),
    (":authority", "peer"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
SETTINGS = FrameHeader(0, 4, 0, 0).serialise()
HALF_OPEN = 600


def frames(kind: int, payload: bytes, *, stream: int = 0, flags: int = 0, times: int = 200) -> bytes:
    return (FrameHeader(len(payload), kind, flags, stream).serialise() + payload) * times


def opened() -> tuple[H2Connection, bytes]:
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, REQUEST)
    return client, client.data_to_send()


def steadily(more: bytes) -> Callable[[], Iterator[bytes]]:
    """A call, then the same again and again."""

    def attack() -> Iterator[bytes]:
        yield opened()[1]
        while True:
            yield more

    return attack


def rapid_reset() -> Iterator[bytes]:
    client, begin = opened()
    yield begin
    stream = 3
    while True:
        for _ in range(20):
            client.send_headers(stream, REQUEST)
            client.reset_stream(stream)
            stream += 2
        yield client.data_to_send()


def endless_headers() -> Iterator[bytes]:
    yield PREFACE + SETTINGS + frames(1, bytes([0x82]), stream=1, times=1)
    while True:
        yield frames(9, b"", stream=1)


ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid reset": rapid_reset,
    "CONTINUATION": endless_headers,
    "SETTINGS": steadily(frames(4, struct.pack(">HI", 4, 70_000))),
    "PING": steadily(frames(6, bytes(8))),
    "WINDOW_UPDATE": steadily(frames(8, (1).to_bytes(4, "big"), stream=1)),
    "PRIORITY": steadily(frames(2, bytes(5), stream=1)),
    "empty DATA": steadily(frames(0, b"", stream=1)),
}


class Leash:
    """Pauses whoever has used more than a share of a core."""

    def __init__(self, share: float) -> None:
        self._share, self._began_s, self._cpu_s = share, time.monotonic(), time.process_time()

    def hold(self) -> None:
        ahead_s = (time.process_time() - self._cpu_s) / self._share - (time.monotonic() - self._began_s)
        if ahead_s > 0.002:
            time.sleep(ahead_s)


def attack(name: str, address: str, share: float, over: Event) -> None:
    """In a process of its own, until `over`."""
    host, _, port = address.rpartition(":")
    leash = Leash(share)
    if name == "silence":
        while not over.is_set():
            sum(range(2000))
            leash.hold()
    elif name in ("half-open", "slow loris"):
        kept = []
        while not over.is_set():
            with contextlib.suppress(OSError):
                if len(kept) < HALF_OPEN:
                    kept.append(socket.create_connection((host, int(port)), timeout=1))
                elif name == "slow loris":
                    time.sleep(0.01)
                if name == "slow loris" and kept:
                    one = kept[int(time.monotonic() * 1000) % len(kept)]
                    one.send(PREFACE[:1])
            if len(kept) >= HALF_OPEN and name == "half-open":
                for one in kept:
                    one.close()
                kept.clear()
            leash.hold()
    else:
        while not over.is_set():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as connection:
                for data in ATTACKS[name]():
                    connection.sendall(data)
                    leash.hold()
                    if over.is_set():
                        break
            leash.hold()


async def cost_until_cut() -> None:
    """Print what each flood costs a lean server until it is cut, without a socket between."""
    server = LeanServer(tls=None, refusals=Refusals())
    server.serve(accept)
    for name, make in ATTACKS.items():
        spent_s = []
        for _ in range(7):
            link = AcceptedLink(server, "127.0.0.1", 1)
            server.places.came(link)
            link.connection_made(NoSocket(link))  # type: ignore[arg-type]
            chunks = list(itertools.islice(make(), 8))
            began_s = time.process_time()
            for chunk in chunks:
                link.data_received(chunk)
            await asyncio.sleep(0)
            spent_s.append(time.process_time() - began_s)
            assert link.is_over
        print(f"{name:14} cut after {statistics.median(spent_s) * 1e3:5.2f} ms of processor time", flush=True)


async def under(name: str, members: Members, mesh: str, namespace: argparse.Namespace) -> dict[str, float]:
    """One slice of rounds under one attack."""
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    attacker = context.Process(target=attack, args=(name, members.addresses[0][mesh], namespace.share, over))
    attacker.start()
    try:
        victim = psutil.Process(members.processes[0].pid)
        await members.play(mesh, rounds=3, warm_up=3, period_s=1 / namespace.rate)
        memory, cpu, began_s = victim.memory_info().rss, sum(victim.cpu_times()[:2]), time.monotonic()
        rounds = int(namespace.seconds * namespace.rate)
        played = await members.play(mesh, rounds=rounds, warm_up=0, period_s=1 / namespace.rate)
        wall_s = time.monotonic() - began_s
        return {
            "rate": rounds / max(sum(played[0]["rounds_s"]), 1e-9) / namespace.rate,
            "missed": float(sum(member["missed"] for member in played)),
            "cpu": (sum(victim.cpu_times()[:2]) - cpu) / wall_s,
            "grown_mb": (victim.memory_info().rss - memory) / 1e6,
        }
    finally:
        over.set()
        attacker.join(10)
        if attacker.is_alive():
            attacker.kill()


async def measure(transport: str, namespace: argparse.Namespace) -> list[dict[str, Any]]:
    mesh, rows = MESH[transport], []
    async with Members(SIZE, [mesh]) as members:
        for name in (*ATTACKS, "slow loris", "half-open"):
            # Beside each attack its own silence, since other load on the machine comes and goes.
            quiet = await under("silence", members, mesh, namespace)
            row = {
                "transport": transport,
                "attack": name,
                **await under(name, members, mesh, namespace),
                "quiet": quiet,
            }
            rows.append(row)
            print(
                f"{transport:8} {name:14} rounds {row['rate']:6.1%} of {namespace.rate:g}/s, {quiet['rate']:6.1%} in "
                f"silence; attacked process {row['cpu']:6.1%} of a core, {quiet['cpu']:6.1%}; grown by "
                f"{row['grown_mb']:6.2f} MB",
                flush=True,
            )
    ratios = [row["rate"] / row["quiet"]["rate"] for row in rows]
    print(
        f"{transport}: rounds under attack x beside silence: median {statistics.median(ratios):.2f}, {min(ratios):.2f}+"
    )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transports", nargs="+", choices=MESH, default=list(MESH))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each attack")
    parser.add_argument("--rate", type=float, default=20.0, help="rounds per second")
    parser.add_argument("--share", type=float, default=0.3, help="of a core, for the attacker")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    if "lean" in namespace.transports:
        logging.getLogger("heliograph.guard.places").setLevel(logging.ERROR)
        asyncio.run(cost_until_cut())
    rows = [row for transport in namespace.transports for row in asyncio.run(measure(transport, namespace))]
    if namespace.json:
        namespace.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
