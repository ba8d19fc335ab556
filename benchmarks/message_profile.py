"""Where the processor time of a message goes: all members of a mesh in one process, and the parts of the lean path.

    python benchmarks/message_profile.py [--agents 10] [--rounds 150]

Times are of the processor, user and system, per message sent and received.  In one process caches stay warm and nobody
waits for another's turn, so this is the least that a message can cost; `exchange.py` has processes.  Parts are the best
of five loops.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

import numpy as np
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from meshes import ACTIONS, FORMAT, MESHES

from agent_node.counters import CounterTable
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Message
from agent_node.transport.lean.connection import Connection
from agent_node.wire import MessageWire
from heliograph.actions import DiscreteActions

WARM_UP_ROUNDS = 20
LOOPS, TIMES = 5, 10_000


async def together(name: str, agents: int, rounds: int) -> float:
    """Processor seconds per message of a mesh in this process."""
    members = [MESHES[name](slot, agents) for slot in range(agents)]
    addresses = [await member.serve("127.0.0.1") for member in members]
    await asyncio.gather(*[member.connect(addresses) for member in members])
    spent_s = 0.0
    for episode, count in enumerate((WARM_UP_ROUNDS, rounds)):

        async def steps(member: object, episode: int = episode, count: int = count) -> None:
            for step in range(count):
                await member.round(episode, step)  # type: ignore[attr-defined]

        began_s = time.process_time()
        await asyncio.gather(*[steps(member) for member in members])
        spent_s = time.process_time() - began_s
    for member in members:
        await member.close()
    return spent_s / (agents * (agents - 1) * rounds)


def parts() -> dict[str, Callable[[], object]]:
    wire = MessageWire(FORMAT, actions=DiscreteActions(count=ACTIONS))
    latent = np.random.default_rng(0).integers(FORMAT.classes, size=FORMAT.categoricals, dtype=np.int32)
    message = Message(episode=1, step=1000, latent=latent, action=1)
    data = wire.serialise(message).data
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "peer")])
    connection = Connection(is_client=False, write=lambda _: None, taker=lambda _: lambda _: 1, on_event=lambda _: None)
    connection.open()
    connection.receive(client.data_to_send())
    connection.answer(1, [(":status", "200")])
    frame = (len(data) + 5).to_bytes(3, "big") + b"\0\0\0\0\0\1\0" + len(data).to_bytes(4, "big") + data
    updates = b"".join(b"\0\0\x04\x08\0" + stream.to_bytes(4, "big") + b"\0\x01\0\0" for stream in (0, 1))
    inbox, steps = Inbox(late_policy=LatePolicy.MASK, counts=CounterTable()), iter(range(10**9))

    def send() -> None:
        if not connection.send_at_once(1, data):
            connection.receive(frame + updates)
            connection.send(1, data)

    def step() -> None:
        number = next(steps)
        inbox.begin(0, number + 1)
        inbox.receive(
            1, Message(episode=0, step=number, latent=latent, action=1), size_bytes=len(data), latent_bits=160
        )
        inbox.close((1,), awaited=[1])

    return {
        "frame read": lambda: connection.receive(frame),
        "frame written, without the socket": send,
        "parsed, strictly": lambda: wire.parse(data, sender=1),
        "serialised, once for all listeners": lambda: wire.serialise(message),
        "inbox and its counters, and a message made": step,
    }


def best_s(act: Callable[[], object]) -> float:
    times = []
    for _ in range(LOOPS):
        began_s = time.process_time()
        for _ in range(TIMES):
            act()
        times.append(time.process_time() - began_s)
    return min(times) / TIMES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=150)
    namespace = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in ("heliograph", "lean", "grpc stream", "raw tcp"):
            spent_s = runner.run(together(name, namespace.agents, namespace.rounds))
            print(f"{name:44} {spent_s * 1e6:6.1f} us a message", flush=True)
    for name, act in parts().items():
        print(f"{name:44} {best_s(act) * 1e6:6.2f} us", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
