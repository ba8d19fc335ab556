"""Links that the kernel counts: a namespace per node, a virtual link per pair.  Linux, as root.

A pair's link carries what the two nodes say to one another and nothing else; the coordinator is reached through a
Unix socket, which no network sees.  With a delay, and for losses where nft is not to be had, a process that bridges
frames stands in the middle of each link.  Imported by `links_of.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.links import tcp_info
from coordinator.links.link_plan import NAMESPACES, LinkPlan
from coordinator.links.links import Link, Links
from coordinator.links.traffic import MEASURED, LinkTraffic, Provenance, total
from coordinator.serving.roster import Member
from coordinator.serving.supervisor import node_command
from heliograph.errors import SettingsError
from heliograph.network import capabilities as can
from heliograph.network.devices import ETHERNET_BYTES, is_running, switch_off_offloads, transmitted
from heliograph.network.namespace import Namespace, join

BRIDGE_END_TIMEOUT_S = 5.0
BURST_S = 0.01
"""What a rate limit lets pass at once, at least: as much as the link carries in this time."""
LEAST_BURST_BYTES = 2000
"""A full frame must fit."""
LINK_UP_TIMEOUT_S = 10.0
MOST_READINGS = 50
"""Of a namespace's counters, until two of them in turn are the same."""
QUEUE_S = 1.0
"""How long a frame may wait for a limited link; then it is dropped."""


class NamespacedLinks(Links):
    """Nodes in `namespaces`, by slot; the address of slot j for slot i is 10.77.j.i, on their link alone."""

    kind = NAMESPACES
    http2 = Provenance(
        label=MEASURED, source="the kernel's count of payload sent, of each node's own sockets (TCP_INFO)"
    )
    tcp = Provenance(label=MEASURED, source="TCP_INFO of each node's own sockets: segments that it sent")
    ip = Provenance(label=MEASURED, source="the kernel's counters of each pair's virtual link, less Ethernet's headers")

    def __init__(self, plan: LinkPlan, *, team_size: int) -> None:
        super().__init__(team_size=team_size)
        self._plan = plan
        self._stack = ExitStack()
        self.namespaces: list[Namespace] = []
        self._remarks: list[str] = []
        self._devices: list[tuple[Namespace, str]] = []
        self._sockets: dict[Link, set[tuple[str, str]]] = defaultdict(set)

    async def __aenter__(self) -> Self:
        """Raises SettingsError if this machine, or this user, cannot make such links."""
        known = {capability.name: capability for capability in can.capabilities()}
        _require(known[can.NAMESPACES])
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-links-"))
            self.listen = f"unix:{Path(folder) / 'coordinator'}"
            self.namespaces = [self._namespace(stack) for _ in range(self.team_size)]
            by_nft = self._plan.loss > 0 and known[can.DROP].works
            bridged_loss = 0.0 if by_nft else self._plan.loss
            if self._plan.delay_ms or bridged_loss:
                _require(known[can.FRAMES])
                self._lay_bridged(stack, loss=bridged_loss)
            else:
                self._lay_direct()
            for slot, node in enumerate(self.namespaces):
                self._set_up(slot, node)
            for namespace, device in self._devices:
                namespace.inside(partial(_make_ready, device))
            if self._plan.rate_kbit is not None:
                _require(known[can.RATE])
                self._limit_rate(self._plan.rate_kbit)
            if by_nft:
                for node in self.namespaces:
                    script = can.DROP_SCRIPT.format(per_million=round(self._plan.loss * 1e6))
                    node.tool("nft", "-f", "-", script=script)
            self._remarks = self._remarks_on(by_nft=by_nft, why_not=known[can.DROP].reason)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def command(self, slot: int, coordinator: str, *, join_timeout_s: float) -> list[str]:
        # It has an address on each of its links, and each peer is told the one on theirs.
        command = node_command(coordinator, slot, join_timeout_s=join_timeout_s, host="0.0.0.0")
        # Nothing but these links leads into its network.
        return [*self.namespaces[slot].prefix, *command, "--insecure"]

    def address_of(self, slot: int, member: Member) -> str:
        return f"{_host(member.slot, slot)}:{member.peer_address.rpartition(':')[2]}"

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(self._remarks)

    def passed(self) -> dict[Link, LinkTraffic]:
        found = {}
        for slot, node in enumerate(self.namespaces):
            devices, sockets = node.inside(_counters)
            for peer in range(self.team_size):
                if peer != slot:
                    size, packets = devices[f"peer{peer}"]
                    mine = [socket for socket in sockets if socket.local.startswith(f"{_host(slot, peer)}:")]
                    found[slot, peer] = self._passed((slot, peer), mine, ip_bytes=size - ETHERNET_BYTES * packets)
        return {link: found[link] for link in self.directed}

    def _passed(self, link: Link, sockets: list[tcp_info.Connection], *, ip_bytes: int) -> LinkTraffic:
        self._sockets[link] |= {(socket.local, socket.remote) for socket in sockets}
        connections = len(self._sockets[link])
        # What the kernel counted of a connection went with it.
        sent = [socket.info.bytes_sent for socket in sockets] if len(sockets) == connections else [None]
        segments = [socket.info.segments_out for socket in sockets] if len(sockets) == connections else [None]
        return LinkTraffic(
            connections=connections, http2_bytes=total(sent), tcp_segments=total(segments), ip_bytes=ip_bytes
        )

    def _namespace(self, stack: ExitStack) -> Namespace:
        namespace = Namespace()
        stack.callback(namespace.close)
        return namespace

    def _lay_direct(self) -> None:
        for low, high in self.pairs:
            join(
                self.namespaces[low],
                self.namespaces[high],
                names=(f"peer{high}", f"peer{low}"),
                addresses=(_mac(low, high), _mac(high, low)),
            )

    def _lay_bridged(self, stack: ExitStack, *, loss: float) -> None:
        middle = self._namespace(stack)
        for i, j in self.directed:
            names = f"peer{j}", _middle(i, j)
            join(self.namespaces[i], middle, names=names, addresses=(_mac(i, j), _mac(i, j, middle=True)))
            middle.tool("ip", "link", "set", _middle(i, j), "up")
            self._devices.append((middle, _middle(i, j)))
        joined = [f"{_middle(low, high)}:{_middle(high, low)}" for low, high in self.pairs]
        command = [*middle.prefix, sys.executable, "-P", "-m", "coordinator.links.frame_bridge"]
        process = subprocess.Popen(
            [*command, f"{self._plan.delay_ms:g}", f"{loss:g}", *joined],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for us, who still need it to let the nodes leave
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SettingsError("the frame bridge did not start", remedy="heliograph doctor network")

    def _set_up(self, slot: int, node: Namespace) -> None:
        peers = [peer for peer in range(self.team_size) if peer != slot]
        lines = []
        for peer in peers:
            device = f"peer{peer}"
            lines += [
                f"address add {_host(slot, peer)} peer {_host(peer, slot)} dev {device}",
                f"link set {device} up",
                # Known from the start: nobody asks for it, so nobody's question is counted.
                f"neighbour add {_host(peer, slot)} lladdr {_mac(peer, slot)} nud permanent dev {device}",
            ]
        node.tool("ip", "-batch", "-", script="\n".join(lines) + "\n")
        self._devices += [(node, f"peer{peer}") for peer in peers]

    def _limit_rate(self, rate_kbit: float) -> None:
        burst = max(LEAST_BURST_BYTES, round(rate_kbit * 1000 / 8 * BURST_S))
        limit = f"tbf rate {round(rate_kbit * 1000)}bit burst {burst} latency {QUEUE_S:g}s"
        for slot, node in enumerate(self.namespaces):
            peers = [peer for peer in range(self.team_size) if peer != slot]
            lines = [f"qdisc add dev peer{peer} root {limit}" for peer in peers]
            node.tool("tc", "-batch", "-", script="\n".join(lines) + "\n")

    def _remarks_on(self, *, by_nft: bool, why_not: str) -> list[str]:
        plan, remarks = self._plan, []
        if plan.rate_kbit is not None:
            remarks.append(f"Each direction of each link carries {plan.rate_kbit:g} kbit/s (tc tbf).")
        if plan.delay_ms:
            remarks.append(f"Each packet takes {plan.delay_ms:g} ms and what the frame bridge itself needs.")
        if plan.loss:
            how = "nft, on arrival" if by_nft else f"the frame bridge, since nft cannot: {why_not}"
            remarks.append(f"A share of {plan.loss:g} of the packets is dropped at random, by {how}; not repeatable.")
        return remarks


def _counters() -> tuple[dict[str, tuple[int, int]], list[tcp_info.Connection]]:
    """What the calling thread's namespace has counted of its devices and of its connections, at one moment.

    A packet between the two readings would be in one of them alone, and a node at rest sends one, too: it acknowledges
    what came last a little later.  While packets keep coming there is no such moment, and the last readings must do.
    """
    devices = transmitted()
    for _ in range(MOST_READINGS):
        sockets, before = tcp_info.connections(), devices
        devices = transmitted()
        if devices == before:
            break
    return devices, sockets


def _require(capability: can.Capability) -> None:
    if not capability.works:
        raise SettingsError(f"{capability.name} cannot be had: {capability.reason}", remedy=capability.remedy)


def _make_ready(device: str) -> None:
    if not is_running(device, timeout_s=LINK_UP_TIMEOUT_S):
        raise SettingsError(
            f"the virtual link {device} did not come up within {LINK_UP_TIMEOUT_S:g} s",
            remedy="heliograph doctor network",
        )
    # After it: the kernel makes this call wait for the worker that has just said so and is opening the device.
    switch_off_offloads(device)


def _host(slot: int, peer: int) -> str:
    """Of a slot, on its link with the peer."""
    return f"10.77.{slot}.{peer}"


def _mac(slot: int, peer: int, *, middle: bool = False) -> str:
    return f"02:00:00:{int(middle):02x}:{slot:02x}:{peer:02x}"


def _middle(slot: int, peer: int) -> str:
    """The bridge's end of what leads to a slot, on its link with the peer."""
    return f"to{slot}from{peer}"


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(BRIDGE_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
