"""What a message costs on a network: bytes and packets on a virtual link between two network namespaces.

    sudo python benchmarks/wire_bytes.py [--messages 1500] [--period-ms 4] [--no-timestamps] [--json FILE]

Two processes exchange a latent of 32 categoricals of 32 classes (160 bits) in both directions at a fixed pace, with
the node's own code over grpcio (`heliograph`) and over the lean transport, and with the less code of `meshes.py`.
Counted are the transmitted bytes and packets of both ends of the link, acknowledgements and keepalives included; IP
bytes are these without
the 14 bytes of Ethernet per packet, the payload of TCP is IP without 52 bytes of headers per packet (20 IPv4, 32 TCP
with timestamps).  gRPC adds to that payload 9 bytes of HTTP/2 frame and 5 of gRPC prefix, and grpcio two window
updates of 13 bytes for every message that it has read.

Needs root on Linux and the `ip` command, for the namespaces and the link, which it makes and removes itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mesh_members import Members
from meshes import CERTIFICATES

from heliograph.certificates.folder import make_team, team
from heliograph.network import capabilities
from heliograph.network.devices import ETHERNET_BYTES, transmitted
from heliograph.network.namespace import Namespace, join

NAMES = ("heliograph", "lean", "lean tls", "grpc stream", "grpc unary", "raw tcp")
TARGET_IP_BYTES = 122.0
"""At a pace of 4 ms; the best stock gRPC design measured was 119.8 to 122.7."""

WARM_UP_ROUNDS = 50
HOSTS = ("10.77.0.1", "10.77.0.2")
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
HEADER_BYTES = 20 + 32
FRAMING_BYTES = 9 + 5


@contextmanager
def linked_namespaces() -> Iterator[list[Namespace]]:
    """Two namespaces with a veth pair between them, at the addresses HOSTS, while it lasts."""
    with closing(Namespace()) as one, closing(Namespace()) as other:
        namespaces = [one, other]
        join(one, other, names=("peer", "peer"), addresses=MACS)
        for namespace, host in zip(namespaces, HOSTS, strict=True):
            namespace.tool("ip", "address", "add", f"{host}/24", "dev", "peer")
            namespace.tool("ip", "link", "set", "peer", "up")
        yield namespaces


def sent(namespaces: list[Namespace]) -> tuple[int, int]:
    """Bytes and packets that both ends of the link have sent."""
    ends = [namespace.inside(transmitted)["peer"] for namespace in namespaces]
    return sum(size for size, _ in ends), sum(packets for _, packets in ends)


async def measure(namespaces: list[Namespace], *, messages: int, period_s: float) -> list[dict[str, Any]]:
    prefixes = [namespace.prefix for namespace in namespaces]
    results = []
    for name in NAMES:
        async with Members(2, [name], hosts=HOSTS, prefixes=prefixes) as members:
            pace = {"period_s": period_s}
            await members.play(name, rounds=1, warm_up=WARM_UP_ROUNDS, **pace)
            before = sent(namespaces)
            played = await members.play(name, rounds=messages, warm_up=0, **pace)
            after = sent(namespaces)
        count = 2 * messages
        ethernet, packets = ((late - early) / count for early, late in zip(before, after, strict=True))
        payload = played[0]["payload_bytes"]
        ip_bytes = ethernet - ETHERNET_BYTES * packets
        tcp = ip_bytes - HEADER_BYTES * packets
        results.append(
            {
                "mesh": name,
                "messages": count,
                "ip_bytes": ip_bytes,
                "ethernet_bytes": ethernet,
                "packets": packets,
                "tcp_payload_bytes": tcp,
                "protobuf_bytes": payload,
                "missed": sum(member["missed"] for member in played),
            }
        )
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1500, help="in each direction, for each row")
    parser.add_argument("--period-ms", type=float, default=4.0)
    parser.add_argument("--no-timestamps", action="store_true", help="TCP without timestamps, 12 bytes a packet less")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    needed = capabilities.capability(capabilities.NAMESPACES)
    if not needed.works:
        print(f"skipped: {needed.name}: {needed.reason}. {needed.remedy}")
        return 0
    with linked_namespaces() as linked, tempfile.TemporaryDirectory() as folder:
        make_team(Path(folder), team(2))
        os.environ[CERTIFICATES] = folder
        if namespace.no_timestamps:
            for one in linked:
                one.tool("sysctl", "-w", "net.ipv4.tcp_timestamps=0")
        results = asyncio.run(measure(linked, messages=namespace.messages, period_s=namespace.period_ms * 1e-3))
    reference = next(row for row in results if row["mesh"] == "grpc stream")["ip_bytes"]
    print(
        f"per message, one every {namespace.period_ms:g} ms in each direction:\n"
        f"{'mesh':12} {'IP bytes':>9} {'x stream':>9} {'Ethernet':>9} {'packets':>8} {'TCP payload':>12} "
        f"{'protobuf':>9} {'missed':>7}"
    )
    for row in results:
        print(
            f"{row['mesh']:12} {row['ip_bytes']:9.1f} {row['ip_bytes'] / reference:9.2f} {row['ethernet_bytes']:9.1f} "
            f"{row['packets']:8.3f} {row['tcp_payload_bytes']:12.1f} {row['protobuf_bytes']:9} {row['missed']:7}"
        )
    ours = results[0]
    framed = ours["protobuf_bytes"] + FRAMING_BYTES
    print(
        f"\nheliograph: {ours['protobuf_bytes']} bytes of protobuf for 20 bytes of latent; {framed} with gRPC and "
        f"HTTP/2 framing; {ours['tcp_payload_bytes'] - framed:.1f} of window updates and pings; "
        f"{ours['ip_bytes']:.1f} IP bytes, target at 4 ms {TARGET_IP_BYTES:g}"
    )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
