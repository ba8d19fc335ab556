"""A lean connection that ends while it rests: what came before is read, the peer is masked, and the log says why."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import socket
import struct
import sys
import termios
from collections.abc import Awaitable, Callable

import pytest
from child_environment import importing_test_modules
from h2.errors import ErrorCodes
from peer_stage import DEADLINE_S, HELLO, NEVER_S, Stage, node_of_slot_1, until
from resting_lean import PEER, rest_for_ever, said
from tcp_detour import TcpDetour

from agent_node.node import Node
from agent_node.transport.lean import link
from agent_node.transport.lean.call import LeanCall
from agent_node.transport.lean.client import DialledLeanCall, LeanLine
from heliograph.errors import MessageError
from heliograph.event_loops import loop_factory

End = Callable[[DialledLeanCall], Awaitable[None]]
Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = [asyncio.new_event_loop, loop_factory()]


@pytest.fixture(autouse=True)
def _resting(monkeypatch: pytest.MonkeyPatch) -> None:
    rest_for_ever(monkeypatch)


def transport_of(call: LeanCall) -> asyncio.Transport:
    return call._link.transport  # type: ignore[attr-defined, no-any-return]


def of_slot_0(node: Node) -> LeanCall:
    assert node._peers is not None
    call = node._peers._streams.live[0].call
    assert isinstance(call, LeanCall)
    return call


async def resting(node: Node) -> None:
    """Wait until the node's stream with slot 0 rests."""
    call = of_slot_0(node)
    await until(lambda: not transport_of(call).is_reading())


async def unread(node: Node) -> None:
    """Wait until the message after the one at which it rests is in the kernel's hands."""
    connected = transport_of(of_slot_0(node)).get_extra_info("socket")
    await until(lambda: struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.FIONREAD, bytes(4)))[0] > 0)


async def half_close(call: DialledLeanCall) -> None:
    await call.half_close()


async def reset_the_stream(call: DialledLeanCall) -> None:
    call._dialled.connection.reset(call.stream, ErrorCodes.CANCEL)


async def take_leave(call: DialledLeanCall) -> None:
    call.cancel()


async def refuse_more(call: DialledLeanCall) -> None:
    with contextlib.suppress(MessageError):
        call._dialled.connection.refuse("enough", ErrorCodes.ENHANCE_YOUR_CALM)
    transport_of(call).close()


async def close_the_socket(call: DialledLeanCall) -> None:
    transport_of(call).close()


async def reset_the_connection(call: DialledLeanCall) -> None:
    connected: socket.socket = transport_of(call).get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport_of(call).abort()


ENDS: dict[str, tuple[End, str]] = {
    "half-close": (half_close, ""),
    "reset of the stream": (reset_the_stream, "CANCELLED the stream was reset with code 8"),
    "GOAWAY": (take_leave, "UNAVAILABLE "),  # streams may go on after it
    "GOAWAY with a reason": (refuse_more, "UNAVAILABLE the other side has ended the connection with code 11 enough"),
    "FIN": (close_the_socket, "UNAVAILABLE "),  # a write may be the first to find it
    "RST": (reset_the_connection, "UNAVAILABLE "),
}


def play(script: Callable[[Node, Stage], Awaitable[None]], loop: Loop) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), node_of_slot_1() as (node, world, _):
            await script(node, world)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def came_to_rest(node: Node, world: Stage, speak: Callable[[int], object]) -> None:
    """Both have spoken at step 1; then the peer has at step 2, too, which nobody has read."""
    await world.until(lambda: world.peers == (0,))
    await world.step(1, deadline_s=0.0)
    speak(1)
    await resting(node)
    speak(2)
    await unread(node)


async def heard_until_its_end(node: Node, world: Stage) -> None:
    for step in (2, 3):
        assert (await world.step(step, deadline_s=DEADLINE_S)).masked == (), "it spoke before it ended"
    await world.until(lambda: world.peers == ())
    assert (await world.step(4, deadline_s=NEVER_S)).masked == (0,)
    counts = node.counts[0]
    assert (counts.delivered, counts.late, counts.rejected) == (2, 0, 0)


def causes(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = (record.getMessage() for record in caplog.records)
    return [line.partition("cause=")[2] for line in told if line.startswith("peer lost slot=0")]


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("name", ENDS)
def test_what_a_peer_said_before_its_end_is_read_and_then_it_is_masked(
    name: str, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent_node")
    end, cause = ENDS[name]

    async def script(node: Node, world: Stage) -> None:
        call = await LeanLine(node.peer_address, tls=None, peer=PEER).call(HELLO.serialise())
        await came_to_rest(node, world, lambda step: call.send(said(step)))
        await end(call)
        await heard_until_its_end(node, world)
        call.cancel()

    play(script, loop)
    found = causes(caplog)
    assert len(found) == (cause != "")
    assert all(line.startswith(cause) for line in found), found


PROCESS = """
import asyncio, sys
from peer_stage import HELLO
from resting_lean import PEER, said
from agent_node.transport.lean.client import LeanLine

async def play(address):
    call = await LeanLine(address, tls=None, peer=PEER).call(HELLO.serialise())
    while line := await asyncio.to_thread(sys.stdin.readline):
        call.send(said(int(line)))

asyncio.run(play(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_peer_that_is_killed_or_stopped_at_rest_is_heard_until_then(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent_node")

    async def script(node: Node, world: Stage) -> None:
        peer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROCESS, node.peer_address),
            stdin=asyncio.subprocess.PIPE,
            env=importing_test_modules(),
        )
        assert peer.stdin is not None
        try:
            await came_to_rest(node, world, lambda step: peer.stdin and peer.stdin.write(b"%d\n" % step))
            peer.send_signal(number)
            if number == signal.SIGKILL:
                await peer.wait()
                await heard_until_its_end(node, world)
                return
            for step in (2, 3):
                assert (await world.step(step, deadline_s=DEADLINE_S)).masked == (), "it spoke before it stopped"
            for step in (4, 5, 6):
                assert (await world.step(step, deadline_s=0.05)).masked == (0,)
            for step in (7, 8):
                assert (await world.step(step, deadline_s=NEVER_S)).masked == (0,), "nobody waits for the silent"
            peer.stdin.write(b"8\n")
            peer.send_signal(signal.SIGCONT)
            await until(lambda: node._inbox is not None and not node._inbox.silent)
            assert (await world.step(9, deadline_s=DEADLINE_S)).masked == ()
            assert causes(caplog) == []
        finally:
            with contextlib.suppress(ProcessLookupError):
                peer.kill()
            await peer.wait()

    play(script, loop_factory())
    if number == signal.SIGKILL:
        (cause,) = causes(caplog)
        assert cause.startswith("UNAVAILABLE ")


def test_a_peer_whose_network_is_cut_at_rest_is_asked_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_node")

    async def script(node: Node, world: Stage) -> None:
        async with TcpDetour() as detour:
            detour.target = node.peer_address
            call = await LeanLine(detour.address, tls=None, peer=PEER).call(HELLO.serialise())
            await came_to_rest(node, world, lambda step: call.send(said(step)))
            detour.freeze()
            for step in (2, 3):
                assert (await world.step(step, deadline_s=DEADLINE_S)).masked == ()
            for step in (4, 5, 6):
                assert (await world.step(step, deadline_s=0.05)).masked == (0,)
            waiting = of_slot_0(node)._link
            assert isinstance(waiting, link.Link)
            for _ in range(3):  # after what came is an old story, it asks, and then has no answer
                waiting._look()
            await world.until(lambda: world.peers == ())
            assert (await world.step(7, deadline_s=NEVER_S)).masked == (0,)
            call.cancel()

    play(script, loop_factory())
    assert causes(caplog) == [f"UNAVAILABLE nothing came for {2 * link.KEEPALIVE_MS / 1e3:g} s"]
