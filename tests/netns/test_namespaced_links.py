"""Links between namespaces: counted by the kernel, slow, narrow and lossy as asked for, and gone with their maker."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest
from relay_team import relay_plan

from coordinator.links import namespaced_links, tcp_info
from coordinator.links.link_plan import LinkPlan
from coordinator.links.namespaced_links import NamespacedLinks
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from heliograph.errors import SettingsError
from heliograph.network import capabilities as can

FOUND = {capability.name: capability for capability in can.capabilities()}
NEEDED = FOUND[can.NAMESPACES]
pytestmark = pytest.mark.skipif(not NEEDED.works, reason=f"{NEEDED.name}: {NEEDED.reason}. {NEEDED.remedy}")

UDP_HEADERS = 20 + 8

HANG_S = 30.0
"""Nobody who waits for a packet or for the end of a process waits longer, however slow the machine is."""


def needs(name: str):
    return pytest.mark.skipif(not FOUND[name].works, reason=f"{name}: {FOUND[name].reason}. {FOUND[name].remedy}")


def namespaces_alive(marked: str) -> set[int]:
    """Inodes of the network namespaces, ours left out, that a process with this in its environment is in or holds."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marked.encode() in (process / "environ").read_bytes():
                found.add((process / "ns" / "net").stat().st_ino)
                found |= {entry.stat().st_ino for entry in (process / "fd").iterdir() if "net:[" in os.readlink(entry)}
        except OSError:
            continue  # it ended, or an entry of it did
    return found - {Path("/proc/self/ns/net").stat().st_ino}


def segments_sent_again() -> int:
    """By all connections of the calling thread's namespace, as the kernel counts them."""
    counts = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in counts if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def over(plan: LinkPlan, play, *, team_size: int = 2):
    """Call `play(links, here, there)` with UDP sockets of slots 0 and 1, connected to one another over their link."""

    async def run():
        async with NamespacedLinks(plan, team_size=team_size) as links:
            ends = [
                space.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for space in links.namespaces[:2]
            ]
            with ends[0] as here, ends[1] as there:
                for slot, end in enumerate(ends):
                    end.bind((f"10.77.{slot}.{1 - slot}", 5000))
                    end.connect((f"10.77.{1 - slot}.{slot}", 5000))
                    end.settimeout(HANG_S)
                return play(links, here, there)

    return asyncio.run(run())


def test_a_team_plays_in_namespaces_as_on_the_loopback_and_the_kernel_counts_its_packets(tmp_path, monkeypatch):
    found, sent_again = {}, []

    def counters():
        counted = read_counters()
        sent_again.append(segments_sent_again())
        return counted

    read_counters = namespaced_links._counters
    monkeypatch.setattr(namespaced_links, "_counters", counters)
    for name, links in (("plain", None), ("namespaces", LinkPlan(kind="namespaces"))):
        record = tmp_path / f"{name}.jsonl"
        plan = relay_plan(3, episodes=2, length=12, run_seed=3, record=record)
        found[name] = run_processes(plan, LaunchSettings(links=links)), record.read_bytes()
    assert found["namespaces"][1] == found["plain"][1]
    wire = found["namespaces"][0].wire
    assert wire.conservation == (
        "6 of 6 links: the records name exactly the messages and bytes that the nodes counted.",
    )
    assert {wire.layers[name].label for name in ("http2", "tcp", "ip")} == {"measured"}
    for link in wire.links:
        assert link.messages == 24
        # Peers alone are counted: what came with agent_inputs, or asked for addresses, would not fit.
        assert link.http2_bytes < 60 * link.messages
        # A kernel that is kept waiting sends a segment again, and is told so, which is counted in these bytes alone.
        remainder = link.ip_bytes - link.http2_bytes - 52 * link.tcp_segments
        assert remainder == 0 or (any(sent_again) and 0 < remainder < link.http2_bytes)


def test_every_packet_of_a_link_is_counted_there_and_on_no_other():
    def play(links, here, there):
        before = links.passed()
        for _ in range(7):
            here.send(bytes(100))
            there.recv(200)
        there.send(bytes(50))
        here.recv(200)
        after = links.passed()
        return {link: after[link].ip_bytes - before[link].ip_bytes for link in after}

    counted = over(LinkPlan(kind="namespaces"), play, team_size=3)
    assert counted.pop((0, 1)) == 7 * (100 + UDP_HEADERS)
    assert counted.pop((1, 0)) == 50 + UDP_HEADERS
    assert set(counted.values()) == {0}


def test_a_packet_that_passes_while_the_kernels_counters_are_read_is_in_all_of_them_or_in_none(monkeypatch):
    def read_amid(sender, readings):
        """Read the connections, right before and after which something is sent, the first times that it is called."""
        left = iter(range(readings))

        def reading():
            if next(left, None) is None:
                return connections()
            sender.send(b"before")
            found = connections()
            sender.send(b"after")
            return found

        return reading

    async def run():
        async with NamespacedLinks(LinkPlan(kind="namespaces"), team_size=2) as links:
            listening, here = (space.inside(socket.socket) for space in links.namespaces)
            with listening, here:
                listening.bind(("10.77.0.1", 5000))
                listening.listen()
                here.connect(("10.77.0.1", 5000))
                there, _ = listening.accept()
                with there:
                    before = links.passed()
                    monkeypatch.setattr(tcp_info, "connections", read_amid(here, 3))
                    after = links.passed()
                    return {link: after[link].since(before[link]) for link in after}

    connections = tcp_info.connections
    passed = asyncio.run(run())
    assert passed[1, 0].http2_bytes >= len(b"beforeafter")
    for traffic in passed.values():
        assert traffic.ip_bytes == traffic.http2_bytes + 52 * traffic.tcp_segments


@needs(can.FRAMES)
def test_a_delay_holds_every_packet_for_as_long():
    def play(links, here, there):
        started = time.monotonic()
        here.send(b"ping")
        there.send(there.recv(10))
        here.recv(10)
        return time.monotonic() - started

    assert over(LinkPlan(kind="namespaces", delay_ms=20.0), play) >= 0.04


@needs(can.RATE)
def test_a_rate_limit_lets_no_more_through():
    size, count = 1000, 40

    def play(links, here, there):
        started = time.monotonic()
        for _ in range(count):
            here.send(bytes(size))
        for _ in range(count):
            there.recv(2 * size)
        return time.monotonic() - started, links.remarks

    rate_kbit = 800.0
    seconds, remarks = over(LinkPlan(kind="namespaces", rate_kbit=rate_kbit), play)
    assert remarks == ("Each direction of each link carries 800 kbit/s (tc tbf).",)
    assert seconds >= (count * size - 4000) * 8 / (rate_kbit * 1000)


@pytest.mark.parametrize("how", ["nft", "frame bridge"])
def test_a_share_of_the_packets_is_lost(how, monkeypatch):
    if not FOUND[can.DROP if how == "nft" else can.FRAMES].works:
        pytest.skip(f"{how} cannot be had on this machine")
    if how == "frame bridge":
        without = dataclasses.replace(FOUND[can.DROP], reason="it is not installed")
        monkeypatch.setattr(namespaced_links.can, "capabilities", lambda: (*FOUND.values(), without))
    sent, ends = 200, 20  # no more than the receiving socket holds

    def play(links, here, there):
        for _ in range(sent):
            here.send(b"x")
        for _ in range(ends):  # so that one of these gets through, whatever happens
            here.send(b"end")
        arrived = 0
        while there.recv(10) == b"x":
            arrived += 1
        return arrived, links.remarks

    arrived, remarks = over(LinkPlan(kind="namespaces", loss=0.5), play)
    assert 0.25 * sent < arrived < 0.75 * sent, "seven standard deviations"
    assert how in remarks[-1]
    assert "not repeatable" in remarks[-1]


HOLDER = """
import asyncio, sys
from coordinator.links.link_plan import LinkPlan
from coordinator.links.namespaced_links import NamespacedLinks

async def hold():
    async with NamespacedLinks(LinkPlan(kind="namespaces", delay_ms=1.0), team_size=2):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@needs(can.FRAMES)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_namespaces_whose_maker_is_ended(ending):
    mark = str(uuid.uuid4())
    environment = os.environ | {"HELIOGRAPH_TEST_MARK": mark}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            assert len(namespaces_alive(mark)) == 3, "two nodes and the bridge between them"
            processes = psutil.Process(holder.pid).children(recursive=True)
            holder.send_signal(ending)
            assert holder.wait(HANG_S) != 0
        finally:
            holder.kill()
    # The bridge notices that its maker is gone.
    assert not psutil.wait_procs(processes, timeout=HANG_S)[1]
    assert namespaces_alive(mark) == set()


def test_a_machine_that_cannot_says_why(monkeypatch):
    lacking = dataclasses.replace(NEEDED, reason="there is no `ip`", remedy="Install iproute2")
    monkeypatch.setattr(namespaced_links.can, "capabilities", lambda: (*FOUND.values(), lacking))

    async def enter():
        async with NamespacedLinks(LinkPlan(kind="namespaces"), team_size=2):
            pass

    with pytest.raises(SettingsError, match="there is no `ip`") as caught:
        asyncio.run(enter())
    assert caught.value.remedy == "Install iproute2"
