"""What this machine can measure of links, and what links it can make: each tried, with the reason where it cannot."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from heliograph.errors import SettingsError
from heliograph.network.devices import switch_off_offloads
from heliograph.network.namespace import Namespace, join

SEGMENTS, NAMESPACES, RATE, DROP, FRAMES = (
    "TCP segments (TCP_INFO)",
    "network namespaces with virtual links",
    "rate limit (tc tbf)",
    "random drop (nft)",
    "frame bridge for delay and loss (AF_PACKET)",
)
NAMES = (SEGMENTS, NAMESPACES, RATE, DROP, FRAMES)
_TCP_INFO_BYTES = 216
"""Up to tcpi_bytes_retrans, which Linux has since 4.19."""

DROP_SCRIPT = """table ip heliograph {{
  chain arriving {{
    type filter hook prerouting priority 0
    iifname != "lo" numgen random mod 1000000 < {per_million} drop
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One thing that a machine can do, or why not and what would help."""

    name: str
    reason: str = ""
    """Why it cannot; empty if it can."""
    remedy: str = ""

    @property
    def works(self) -> bool:
        return not self.reason


def capabilities() -> tuple[Capability, ...]:
    """Of this machine and user, in the order of NAMES, all but the first tried in namespaces made for that; 0.2 s."""
    return tuple(_tried())


def capability(name: str) -> Capability:
    """One of `capabilities`."""
    return next(found for found in capabilities() if found.name == name)


def _tried() -> Iterator[Capability]:
    yield _segments()
    obstacle = _obstacle()
    if obstacle is not None:
        reason, remedy = obstacle
        yield from (Capability(name=name, reason=reason, remedy=remedy) for name in NAMES[1:])
        return
    with ExitStack() as stack:
        try:
            one, other = Namespace(), Namespace()
            stack.callback(one.close)
            stack.callback(other.close)
            join(one, other, names=("peer", "peer"), addresses=("02:00:00:00:00:01", "02:00:00:00:00:02"))
        except (OSError, SettingsError) as error:
            remedy = "Run as root, in a container with the capabilities SYS_ADMIN and NET_ADMIN"
            yield from (Capability(name=name, reason=_reason(error), remedy=remedy) for name in NAMES[1:])
            return
        yield Capability(name=NAMESPACES)
        tbf = ("tc", "qdisc", "add", "dev", "peer", "root", "tbf", "rate", "1mbit", "burst", "2000", "latency", "1s")
        yield _try(RATE, lambda: one.tool(*tbf), tool="tc", package="iproute2", kernel="CONFIG_NET_SCH_TBF")
        drop = DROP_SCRIPT.format(per_million=1)
        yield _try(
            DROP,
            lambda: one.tool("nft", "-f", "-", script=drop),
            tool="nft",
            package="nftables",
            kernel="CONFIG_NF_TABLES and CONFIG_NFT_NUMGEN",
        )
        yield _try(FRAMES, lambda: one.inside(_raw_frames), tool=None, package="", kernel="CONFIG_PACKET")


def _segments() -> Capability:
    remedy = "Run on Linux 4.19 or newer; elsewhere segments and IP bytes are not measured"
    if sys.platform != "linux":
        return Capability(name=SEGMENTS, reason=f"{sys.platform} is not Linux", remedy=remedy)
    with socket.socket() as ours:
        size = len(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512))
    reason = "" if size >= _TCP_INFO_BYTES else f"this kernel tells {size} bytes of {_TCP_INFO_BYTES}"
    return Capability(name=SEGMENTS, reason=reason, remedy=remedy if reason else "")


def _obstacle() -> tuple[str, str] | None:
    """Why namespaces need not be tried: the reason, and what to do."""
    if sys.platform != "linux":
        return f"{sys.platform} is not Linux", "Run on Linux as root"
    if os.geteuid() != 0:
        return f"needs root, this is user {os.geteuid()}", "Run with sudo"
    for tool, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(tool) is None:
            return f"there is no `{tool}`", f"Install {package}: apt-get install {package}"
    return None


def _try(name: str, attempt: Callable[[], None], *, tool: str | None, package: str, kernel: str) -> Capability:
    if tool is not None and shutil.which(tool) is None:
        return Capability(name=name, reason=f"there is no `{tool}`", remedy=f"Install it: apt-get install {package}")
    try:
        attempt()
    except (OSError, SettingsError) as error:
        return Capability(name=name, reason=_reason(error), remedy=f"Use a kernel with {kernel}")
    return Capability(name=name)


def _raw_frames() -> None:
    switch_off_offloads("peer")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
        raw.bind(("peer", 0))


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, SettingsError) else str(error)
