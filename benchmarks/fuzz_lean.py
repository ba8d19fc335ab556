"""Malformed frames and malformed messages against the lean transport: what is raised, and what it keeps.

    python benchmarks/fuzz_lean.py [--frames 1000000] [--messages 100000] [--seed 0]

Frames: those of a recorded exchange, of a client and of a server, are replayed with mistakes (bits flipped, lengths,
types, flags and streams changed, frames cut, repeated, left out, or made up) into the code of a real connection, calls
and health service included, without a socket between.  A connection is over with its first violation or after 24
frames.  Messages: bytes like those of a message, with mistakes, through a real stream into a node's inbox; each must be
delivered or rejected.  Memory is the process's resident set after each tenth.

Ends with 1 if anything but a `MessageError` came out, or a message was not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import psutil
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection

from agent_node.counters import CounterTable
from agent_node.hello import EXCHANGE, Hello, Member
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Message
from agent_node.peers import Peers
from agent_node.transport.choice import transport_of
from agent_node.transport.lean.client import DialledLeanCall, DialledLink
from agent_node.transport.lean.link import Link
from agent_node.transport.lean.server import AcceptedLink, LeanServer
from agent_node.transport.seam import AcceptedCall
from agent_node.wire import MessageWire
from heliograph.actions import DiscreteActions
from heliograph.certificates.identity import Identity
from heliograph.codecs.message_format import MessageFormat
from heliograph.http2 import PREFACE, FrameHeader
from heliograph.refusals import Refusals

FRAMES_AT_MOST = 24
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", EXCHANGE),
    (":authority", "peer"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-timeout", "20S"),
    ("heliograph-hello-bin", "aGVsbG8"),
]
ANSWER = [(":status", "200"), ("content-type", "application/grpc"), ("heliograph-hello-bin", "aGVsbG8")]
HEALTH = [(name, "/grpc.health.v1.Health/Watch" if name == ":path" else value) for name, value in REQUEST]
CONTENT = b"\0\0\0\0\x1e" + bytes(range(30))

surprises: Counter[str] = Counter()
"""What was raised and should not have been."""


class NoSocket:
    """A transport whose other end takes everything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.is_over = False

    def write(self, data: bytes) -> None:
        return

    def set_write_buffer_limits(self, *, high: int, low: int) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    def setsockopt(self, *_: object) -> None:
        return

    def abort(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._link.connection_lost(None)

    close = abort


def recorded(*, is_client: bool) -> list[bytes]:
    """The frames that one side of an exchange sends, after the preface."""
    ends = {side: H2Connection(H2Configuration(client_side=side)) for side in (True, False)}
    for end in ends.values():
        end.initiate_connection()
    ends[True].send_headers(1, REQUEST)
    ends[False].receive_data(ends[True].data_to_send())
    side, data = ends[is_client], b""
    if is_client:
        data = b"".join(_replay(REQUEST))
        side.send_headers(3, HEALTH)
    else:
        side.send_headers(1, ANSWER)
    for number in range(6):
        side.send_data(1, CONTENT, pad_length=7 if number == 3 else None)
        side.increment_flow_control_window(500)
        side.increment_flow_control_window(300, 1)
    side.ping(bytes(8))
    side.send_data(1, CONTENT[:11])
    side.send_data(1, CONTENT[11:] + CONTENT)
    if is_client:
        side.end_stream(1)
        side.reset_stream(3)
    else:
        side.send_headers(1, [("grpc-status", "0")], end_stream=True)
    side.close_connection()
    return split(data + side.data_to_send())


def _replay(headers: list[tuple[str, str]]) -> list[bytes]:
    """The opening of a client as another one, with the same compression, would write it."""
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, headers)
    return [client.data_to_send().removeprefix(PREFACE)]


def split(data: bytes) -> list[bytes]:
    frames, at = [], 0
    while at < len(data):
        after = at + 9 + FrameHeader.at(data, at).length
        frames.append(data[at:after])
        at = after
    return frames


def mutated(frame: bytes, dice: random.Random) -> bytes:
    """A frame with a mistake, one time of three."""
    changed = bytearray(frame)
    kind = dice.randrange(24)
    if kind == 0 and changed:
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        changed[:3] = dice.choice([0, 1, 4, 5, 8, 9, 255, 2**14, 2**14 + 1, len(frame)]).to_bytes(3, "big")
    elif kind == 2:
        changed[3] = dice.randrange(12)
    elif kind == 3:
        changed[4] = dice.randrange(256)
    elif kind == 4:
        changed[5:9] = dice.choice([0, 1, 2, 3, 5, 99, 2**31 - 1, 2**32 - 1]).to_bytes(4, "big")
    elif kind == 5:
        del changed[dice.randrange(len(changed)) :]
    elif kind == 6:
        changed += dice.randbytes(dice.randrange(40))
    elif kind == 7:
        changed = bytearray(
            FrameHeader(
                size := dice.randrange(60), dice.randrange(12), dice.randrange(256), dice.randrange(5)
            ).serialise()
            + dice.randbytes(size)
        )
    return bytes(changed)


async def accept(call: AcceptedCall) -> None:
    await call.accept(b"hello")
    await call.receive(lambda data: None)


async def attempt(server: LeanServer, frames: list[bytes], dice: random.Random, *, is_client: bool) -> int:
    """One connection; how many frames it took."""
    link: Link
    if is_client:
        link = AcceptedLink(server, "127.0.0.1", 1)
        server.places.came(link)
    else:
        link = DialledLink()
    link.connection_made(NoSocket(link))  # type: ignore[arg-type]
    call = None
    if is_client:
        link.data_received(PREFACE)
    else:
        call = DialledLeanCall(link, link.connection.begin(REQUEST))
    fed, begin = 0, dice.randrange(10)
    for place in range(FRAMES_AT_MOST):
        if link.is_over:
            break
        at = place if place < begin + 2 else dice.randrange(len(frames))
        frame = frames[at % len(frames)]
        link.data_received(frame if place < begin else mutated(frame, dice))
        fed += 1
        if call is not None and dice.randrange(4) == 0:
            call.send(CONTENT)
        if dice.randrange(8) == 0:
            await asyncio.sleep(0)
    if not link.is_over:
        link.cut("done")
    await asyncio.sleep(0)
    return fed


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


async def fuzz_frames(count: int, dice: random.Random) -> None:
    refusals = Refusals()
    server = LeanServer(tls=None, refusals=refusals)
    server.serve(accept)
    sides = {is_client: recorded(is_client=is_client) for is_client in (True, False)}
    done, connections, memory, began_s = 0, 0, [], time.process_time()
    while done < count:
        is_client = connections % 2 == 0
        try:
            done += await attempt(server, sides[is_client], dice, is_client=is_client)
        except Exception as error:
            surprises[f"{type(error).__name__}: {error}"] += 1
            done += 1
        connections += 1
        if done * 10 // count > len(memory):
            await asyncio.sleep(0)
            memory.append(resident_mb())
    print(
        f"frames: {done:,} on {connections:,} connections in {time.process_time() - began_s:.0f} CPU s; refused "
        f"{dict(refusals.counts)}; resident after each tenth, MB: {' '.join(f'{one:.1f}' for one in memory)}",
        flush=True,
    )


async def fuzz_messages(count: int, dice: random.Random, *, transport: str) -> None:
    wire = MessageWire(MessageFormat(categoricals=32, classes=32), actions=DiscreteActions(count=5))
    connected = asyncio.Event()
    peers = Peers(slot=1, team_size=2, transport=transport_of(transport), on_change=lambda _: connected.set())
    counts = CounterTable()
    server = transport_of(transport).server(tls=None, refusals=Refusals())
    peers.add_to(server)
    address = f"127.0.0.1:{server.bind('127.0.0.1:0', insecure=False)}"
    await server.start()
    own = {slot: Hello(run_id="fuzz", slot=slot, bundle_digest="none", instance=str(slot)) for slot in (0, 1)}
    inbox = Inbox(late_policy=LatePolicy.MASK, counts=counts)
    peers.introduce(own[1], inbox=inbox, wire=wire)
    peers.update_roster([Member(slot=0, peer_address=address)])
    line = transport_of(transport).line(address, tls=None, peer=Identity(slot=1))
    call = await line.call(own[0].serialise())
    await call.answer()
    memory: list[float] = []
    honest = wire.serialise(Message(episode=0, step=3, latent=np.arange(32, dtype=np.int32), action=1)).data
    for number in range(count):
        data = bytearray(honest)
        for _ in range(dice.randrange(4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if dice.randrange(4) == 0:
            data = bytearray(dice.randbytes(dice.randrange(80)))
        peers.allow_more()
        while not call.send(bytes(data)):
            await call.flush(timeout_s=10.0)
        if number % 16 == 0:
            inbox.begin(0, number)
            await asyncio.sleep(0)
        if (number + 1) * 10 // count > len(memory):
            memory.append(resident_mb())
    async with asyncio.timeout(60):
        while (seen := _seen(inbox)) < count:
            peers.allow_more()
            await asyncio.sleep(0.01)
    print(
        f"messages over {transport}: {count:,} sent, {seen:,} counted, {inbox.totals()[0].rejected:,} rejected; "
        f"resident after each tenth, MB: {' '.join(f'{one:.1f}' for one in memory)}",
        flush=True,
    )
    if seen != count:
        surprises["messages that were not counted"] += 1
    call.cancel()
    await line.close()
    await peers.close(timeout_s=1.0)
    await server.stop(grace_s=1.0)


def _seen(inbox: Inbox) -> int:
    totals = inbox.totals().get(0)
    return 0 if totals is None else totals.delivered + totals.late + totals.rejected + totals.lost


class Told(logging.Handler):
    """Exceptions that a handler of a call let out."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            surprises[repr(record.exc_info[1])] += 1


async def fuzz(namespace: argparse.Namespace) -> None:
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: surprises.update([repr(context.get("exception", context["message"]))])
    )
    dice = random.Random(namespace.seed)
    await fuzz_frames(namespace.frames, dice)
    for transport in ("lean", "grpcio"):
        await fuzz_messages(namespace.messages, dice, transport=transport)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    namespace = parser.parse_args()
    logging.getLogger("heliograph").setLevel(logging.CRITICAL)
    logging.getLogger("agent_node").addHandler(Told())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fuzz(namespace))
    for surprise, times in surprises.most_common():
        print(f"not in the tree of errors, {times} times: {surprise}")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
