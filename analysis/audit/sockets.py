"""The sockets that node processes hold: their coordinator, their peers and their own listening port, and no others."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

_MAPPED = "::ffff:"
"""How an IPv6 socket writes an IPv4 address."""


def unexpected_sockets(
    pids: Mapping[int, int], *, addresses: Mapping[int, str], coordinator: str
) -> dict[int, list[str]]:
    """By slot, the sockets of its process that nothing of a run explains.

    `addresses` are those at which each slot's peers dial it, host:port like the coordinator's.  Pairs of unnamed local
    sockets, with which a process wakes itself, count as explained.  Raises what psutil raises; ImportError without it.
    """
    import psutil

    held = {slot: psutil.Process(pid).net_connections(kind="all") for slot, pid in pids.items()}
    ends = {slot: {_address(found.laddr) for found in connections} for slot, connections in held.items()}
    unexpected: dict[int, list[str]] = {}
    for slot, connections in held.items():
        peers = [other for other in held if other != slot]
        dialled = {coordinator, *(addresses[other] for other in peers)}
        dialling = set().union(*(ends[other] for other in peers))
        for found in connections:
            own, remote = _address(found.laddr), _address(found.raddr)
            explained = (
                (found.family.name == "AF_UNIX" and not own and not remote)
                or (not remote and own == addresses[slot] and found.status == psutil.CONN_LISTEN)
                or remote in dialled
                or (own == addresses[slot] and remote in dialling)
            )
            if not explained:
                unexpected.setdefault(slot, []).append(_named(found, own, remote))
        unknown = _unknown_sockets(pids[slot], known={found.fd for found in connections})
        if unknown:
            unexpected.setdefault(slot, []).append(f"sockets of another kind, open as {unknown}")
    return unexpected


def _unknown_sockets(pid: int, *, known: Collection[int]) -> list[int]:
    """File descriptors of sockets that psutil does not list, such as raw ones; nobody knows them but on Linux."""
    folder = Path(f"/proc/{pid}/fd")
    numbers = [int(name) for name in os.listdir(folder)] if folder.is_dir() else []
    return [number for number in sorted(numbers) if number not in known and _is_socket(folder / str(number))]


def _is_socket(link: Path) -> bool:
    try:
        return link.is_socket()
    except FileNotFoundError:
        return False  # closed while we looked


def _address(end: Any) -> str:
    if not end:
        return ""
    return end if isinstance(end, str) else f"{end.ip.removeprefix(_MAPPED)}:{end.port}"


def _named(found: Any, own: str, remote: str) -> str:
    kind = f"{found.family.name.removeprefix('AF_').lower()} {found.type.name.removeprefix('SOCK_').lower()}"
    if remote:
        return f"{kind} to {remote}"
    return f"{kind} at {own}" if own else f"{kind} without an address"
