"""What a message costs on a network: bytes and packets on a virtual link between two network namespaces.

    sudo python benchmarks/wire_bytes.py [--messages 1500] [--period-ms 4] [--json FILE]

Two processes exchange a latent of 32 categoricals of 32 classes (160 bits) in both directions at a fixed pace, once
with the node's own code (`heliograph`), and with the less code of `meshes.py` beside it.  Counted are the transmitted
bytes and packets of both ends in /proc/net/dev, acknowledgements and keepalives included; IP bytes are these without
the 14 bytes of Ethernet per packet, the payload of TCP is IP without 52 bytes of headers per packet (20 IPv4, 32 TCP
with timestamps).  gRPC adds to that payload 9 bytes of HTTP/2 frame and 5 of gRPC prefix, and two window updates of
13 bytes for every message that it has read.

Needs root on Linux and the `ip` command, for the namespaces and the link, which it makes and removes itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mesh_members import Members

NAMES = ("heliograph", "grpc stream", "grpc unary", "raw tcp")
TARGET_IP_BYTES = 122.0
"""At a pace of 4 ms; the best stock gRPC design measured was 119.8 to 122.7."""

WARM_UP_ROUNDS = 50
ETHERNET_BYTES = 14
HEADER_BYTES = 20 + 32
FRAMING_BYTES = 9 + 5


@contextmanager
def linked_namespaces() -> Iterator[dict[str, str]]:
    """Two namespaces with a veth pair between them; their names and addresses, while it lasts."""
    names = [f"heliograph-{os.getpid()}-{side}" for side in "ab"]
    hosts = dict(zip(names, ("10.77.0.1", "10.77.0.2"), strict=True))
    try:
        for name in names:
            _ip("netns", "add", name)
        # Made inside, so that nothing of it ever shows in the machine's own namespace.
        _ip("-n", names[0], "link", "add", "peer", "type", "veth", "peer", "name", "peer", "netns", names[1])
        for name, host in hosts.items():
            # IPv6 would send neighbour solicitations that are nobody's messages.
            path = "/proc/sys/net/ipv6/conf/peer/disable_ipv6"
            _ip("netns", "exec", name, "sh", "-c", f"test ! -e {path} || echo 1 > {path}")
            _ip("-n", name, "address", "add", f"{host}/24", "dev", "peer")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "peer", "up")
        yield hosts
    finally:
        for name in names:
            _ip("netns", "delete", name, check=False)


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=not check, timeout=20)


def transmitted(pid: int) -> tuple[int, int]:
    """Bytes and packets that the process's end of the link has sent."""
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines():
        name, _, fields = line.partition(":")
        if name.strip() == "peer":
            return int(fields.split()[8]), int(fields.split()[9])
    raise SystemExit(f"process {pid} sees no link")


async def measure(hosts: dict[str, str], *, messages: int, period_s: float) -> list[dict[str, Any]]:
    prefixes = [["ip", "netns", "exec", namespace] for namespace in hosts]
    results = []
    for name in NAMES:
        async with Members(2, [name], hosts=list(hosts.values()), prefixes=prefixes) as members:
            pace = {"period_s": period_s}
            await members.play(name, rounds=1, warm_up=WARM_UP_ROUNDS, **pace)
            before = [transmitted(process.pid) for process in members.processes]
            played = await members.play(name, rounds=messages, warm_up=0, **pace)
            after = [transmitted(process.pid) for process in members.processes]
        count = 2 * messages
        ethernet, packets = (
            sum(late[field] - early[field] for early, late in zip(before, after, strict=True)) / count
            for field in (0, 1)
        )
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
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        print("skipped: this needs root on Linux and the `ip` command, to make two network namespaces")
        return 0
    with linked_namespaces() as hosts:
        results = asyncio.run(measure(hosts, messages=namespace.messages, period_s=namespace.period_ms * 1e-3))
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
