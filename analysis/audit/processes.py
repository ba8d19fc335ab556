"""What the node processes hold, seen from outside while they run: modules, sockets, files."""

from __future__ import annotations

import asyncio
import os
import time
from importlib.util import find_spec

from analysis.audit import files, imports, sockets
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED, Check
from analysis.audit.replaying_nodes import ReplayingNodes
from heliograph.extras import install

LOOK_INTERVAL_S = 1.0
"""A look costs a few milliseconds a process; between plays nothing changes, unless a node does it on purpose."""

SETTLE_S = 0.2
"""A connection that is being made is seen at one of its ends first; what is still unexplained after this, counts."""

IMPORTS, SOCKETS, FILES = "imports", "sockets", "files"


class Inspector:
    """Looks at the nodes' processes again and again, and keeps what no node should hold."""

    def __init__(self, nodes: ReplayingNodes, *, environment: str) -> None:
        self._nodes = nodes
        self._packages = imports.forbidden_packages(environment)
        self._looks, self._due = 0, 0.0
        self._modules: dict[int, int] = {}
        self._refused = ""
        self._found: dict[str, dict[str, None]] = {IMPORTS: {}, SOCKETS: {}, FILES: {}}  # sentences, in order, once

    async def look(self, *, last: bool = False) -> None:
        """Look at every process, if that is due; twice, where something seems wrong."""
        if time.monotonic() < self._due and not last:
            return
        self._due = time.monotonic() + LOOK_INTERVAL_S
        pids = {slot: self._nodes.supervisor.process(slot).pid for slot in self._nodes.supervisor.running}
        self._looks += 1
        for slot, pid in pids.items():
            self._look_at(slot, pid)
        if find_spec("psutil") is None or self._refused:
            return
        if self._unexpected(pids):
            await asyncio.sleep(SETTLE_S)
            for slot, held in self._unexpected(pids).items():
                self._note(SOCKETS, slot, "has", held)

    def checks(self) -> list[Check]:
        """The verdicts so far."""
        modules = sum(self._modules.values())
        unread = sorted(slot for slot, count in self._modules.items() if not count)
        nodes = self._nodes.server.team.size
        without = {
            IMPORTS: ""
            if modules and not unread
            else f"no node reported what it imports: {unread or 'none was looked at'}",
            SOCKETS: self._refused or ("" if find_spec("psutil") else f"it takes psutil. {install('bandwidth')}"),
            FILES: "" if files.can_be_read(os.getpid()) else "it takes the /proc of Linux",
        }
        held = {
            IMPORTS: f"{modules} modules in {nodes} processes, none of {', '.join(self._packages)}",
            SOCKETS: f"each of {nodes} processes has its coordinator, its peers and its own port ({self._looks} looks)",
            FILES: f"none of {nodes} processes can write to a file but its log ({self._looks} looks)",
        }
        return [self._check(name, without[name], held[name]) for name in (IMPORTS, SOCKETS, FILES)]

    def _check(self, name: str, without: str, held: str) -> Check:
        found = list(self._found[name])
        if found:
            return Check(name=name, verdict=REFUTED, said="; ".join(found))
        if without or not self._looks:
            return Check(name=name, verdict=NOT_CHECKED, said=without or "interrupted before")
        return Check(name=name, verdict=HOLDS, said=held)

    def _look_at(self, slot: int, pid: int) -> None:
        log = self._nodes.supervisor.log_path(slot)
        modules = imports.imported(log)
        self._modules[slot] = len(modules)
        self._note(IMPORTS, slot, "imports", imports.forbidden_among(modules, self._packages))
        if files.can_be_read(pid):
            self._note(IMPORTS, slot, "maps", files.mapped_packages(pid, self._packages))
            self._note(FILES, slot, "can write to", files.writable_files(pid, log=log))

    def _unexpected(self, pids: dict[int, int]) -> dict[int, list[str]]:
        import psutil

        members = self._nodes.server.team.roster.members
        try:
            return sockets.unexpected_sockets(
                pids,
                addresses={member.slot: member.peer_address for member in members},
                coordinator=self._nodes.server.address,
            )
        except psutil.AccessDenied:
            self._refused = "the system does not let us see the sockets of the processes"
            return {}

    def _note(self, check: str, slot: int, verb: str, what: list[str]) -> None:
        self._found[check].update(dict.fromkeys(f"node {slot} {verb} {name}" for name in what))
