"""Six ways in which N processes can tell one another a message per round; imported by `mesh_members.py`.

`heliograph` is what a node runs: `Stepper`, `Inbox`, `Outbox`, `MessageWire` and `Peers`, with an agent that answers
at once in the place of the model; `lean` is that over the lean transport, `lean tls` with
mutual TLS.  The other three are the least code that does the same round: a bidirectional gRPC
stream per pair, a unary gRPC call per message, and length-prefixed frames over one TCP connection per pair.  All
carry the same protobuf message, 32 categoricals of 32 classes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc.aio
import numpy as np

from agent_node.agent_input import AgentInput
from agent_node.counters import CounterTable
from agent_node.hello import Hello, Member
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Decision, Message
from agent_node.peers import Peers
from agent_node.stepper import Stepper
from agent_node.transport.choice import transport_of
from agent_node.wire import MessageWire
from heliograph.actions import DiscreteActions
from heliograph.codecs.message_format import MessageFormat
from heliograph.pb import peer_pb2
from heliograph.refusals import Refusals
from heliograph.tls import Tls

FORMAT = MessageFormat(categoricals=32, classes=32)
ACTIONS = 5
ROUND_TIMEOUT_S = 20.0
"""A round that takes longer is a hang, and the benchmark fails."""

BARE_OPTIONS = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
"""The options that were measured to help; everything else is gRPC's default."""

CERTIFICATES = "HELIOGRAPH_BENCHMARK_CERTIFICATES"
"""Variable of the environment: a folder with the certificates of a team."""

METHOD = "/benchmark.Mesh/Exchange"


class Mesh(ABC):
    """One member of a full mesh.  `serve`, then `connect` with everybody's addresses, then rounds."""

    def __init__(self, slot: int, size: int) -> None:
        self.slot, self.size = slot, size
        self.peers = [peer for peer in range(size) if peer != slot]
        self.latent = np.random.default_rng(slot).integers(FORMAT.classes, size=FORMAT.categoricals, dtype=np.int32)
        self.missed = 0
        """Messages that a round went on without."""
        self._packed = FORMAT.codec.pack(self.latent)

    @abstractmethod
    async def serve(self, host: str) -> str:
        """Listen on a free port of `host`; the address."""

    @abstractmethod
    async def connect(self, addresses: list[str]) -> None:
        """Connect with the others, addresses by slot; returns once all are connected."""

    @abstractmethod
    async def round(self, episode: int, step: int) -> None:
        """Send one message to each of the others and wait for theirs."""

    @abstractmethod
    async def close(self) -> None:
        """Stop listening and end what is open."""

    def bytes_sent(self) -> int:
        """Serialised size of one message in the middle of an episode."""
        return len(self.payload(1, 1000))

    def payload(self, episode: int, step: int) -> bytes:
        """A message by the least code: its latent is packed already, and none is unpacked on arrival."""
        return peer_pb2.LatentMessage(episode=episode, step=step, latent=self._packed, action=1).SerializeToString()


class HeliographMesh(Mesh):
    """The node's own code between agent input and report."""

    transport = "grpcio"
    secured = False

    def __init__(self, slot: int, size: int) -> None:
        super().__init__(slot, size)
        self._wire, counts = MessageWire(FORMAT, actions=DiscreteActions(count=ACTIONS)), CounterTable()
        self._connected = asyncio.Event()
        self._transport = transport_of(self.transport)
        self._tls = Tls(Path(os.environ[CERTIFICATES]) / f"slot-{slot}") if self.secured else None
        self._peers = Peers(
            slot=slot, team_size=size, transport=self._transport, tls=self._tls, on_change=self._on_change
        )
        self._inbox = Inbox(late_policy=LatePolicy.MASK, counts=counts)
        self._stepper = Stepper(
            Speaker(self.latent),
            wire=self._wire,
            inbox=self._inbox,
            peers=self._peers,
            counts=counts,  # type: ignore[arg-type]
        )
        self._view = {
            "observation": np.zeros(4, dtype=np.float32),
            "action_mask": np.ones(ACTIONS, dtype=np.bool_),
            "receives_from": tuple(self.peers),
            "sends_to": tuple(self.peers),
        }

    async def serve(self, host: str) -> str:
        self._server = self._transport.server(tls=self._tls, refusals=Refusals())
        self._peers.add_to(self._server)
        port = self._server.bind(f"{host}:0", insecure=True)
        await self._server.start()
        return f"{host}:{port}"

    async def connect(self, addresses: list[str]) -> None:
        hello = Hello(run_id="benchmark", slot=self.slot, bundle_digest="none", instance=str(self.slot))
        self._peers.introduce(hello, inbox=self._inbox, wire=self._wire)
        self._peers.update_roster(Member(slot=peer, peer_address=addresses[peer]) for peer in self.peers)
        await self._connected.wait()

    async def round(self, episode: int, step: int) -> None:
        agent_input = AgentInput(episode=episode, step=step, message_deadline_s=ROUND_TIMEOUT_S, **self._view)
        self.missed += len((await self._stepper.step(agent_input)).masked)

    async def close(self) -> None:
        await self._peers.close(timeout_s=1.0)
        await self._server.stop(grace_s=0)

    def _on_change(self, slots: tuple[int, ...]) -> None:
        if len(slots) == len(self.peers):
            self._connected.set()


class LeanMesh(HeliographMesh):
    """The same over the lean transport."""

    transport = "lean"


class LeanTlsMesh(LeanMesh):
    """With mutual TLS, by the certificates in a folder that the environment names."""

    secured = True


class Speaker:
    """In the place of `Agent`: hears everybody but at the first step, and says the same at every step."""

    manifest = SimpleNamespace(sending=None)

    def __init__(self, latent: np.ndarray) -> None:
        self._latent = latent
        self._logits = np.zeros(ACTIONS, dtype=np.float32)

    def check_neighbours(self, agent_input: AgentInput) -> None:
        return

    def reads(self, agent_input: AgentInput) -> tuple[int, ...]:
        return agent_input.receives_from if agent_input.step else ()

    def step(self, agent_input: AgentInput, _inbox: dict[int, Message]) -> Decision:
        message = Message(episode=agent_input.episode, step=agent_input.step, latent=self._latent, action=1)
        return Decision(action=1, message=message, logits=self._logits)


class BareMesh(Mesh):
    """Counts arrivals per round; how messages travel is the subclass's."""

    def __init__(self, slot: int, size: int) -> None:
        super().__init__(slot, size)
        self._arrived: Counter[tuple[int, int]] = Counter()
        self._awaited: tuple[int, int] | None = None
        self._all_here: asyncio.Future[None] | None = None

    async def round(self, episode: int, step: int) -> None:
        await self.send_to_all(self.payload(episode, step))
        label = (episode, step)
        if self._arrived[label] < len(self.peers):
            self._awaited, self._all_here = label, asyncio.get_running_loop().create_future()
            await self._all_here
        del self._arrived[label]

    @abstractmethod
    async def send_to_all(self, payload: bytes) -> None: ...

    def receive(self, data: bytes) -> None:
        message = peer_pb2.LatentMessage.FromString(data)
        label = (message.episode, message.step)
        self._arrived[label] += 1
        if label == self._awaited and self._arrived[label] == len(self.peers) and self._all_here is not None:
            self._awaited = None
            self._all_here.set_result(None)


class GrpcMesh(BareMesh):
    """What both gRPC variants share: a server with one method."""

    handler: grpc.RpcMethodHandler

    async def serve(self, host: str) -> str:
        self._server = grpc.aio.server(options=BARE_OPTIONS)
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: self.handler}),))
        port = self._server.add_insecure_port(f"{host}:0")
        await self._server.start()
        return f"{host}:{port}"

    async def close(self) -> None:
        await self._server.stop(grace=0)


class StreamMesh(GrpcMesh):
    """One bidirectional stream per pair, dialled by the lower slot."""

    def __init__(self, slot: int, size: int) -> None:
        super().__init__(slot, size)
        self.handler = grpc.stream_stream_rpc_method_handler(self._accept)
        self._writes: list[Callable[[bytes], Awaitable[None]]] = []
        self._connected = asyncio.Event()
        self._kept: list[object] = []

    async def connect(self, addresses: list[str]) -> None:
        for peer in self.peers:
            if peer > self.slot:
                channel = grpc.aio.insecure_channel(addresses[peer], options=BARE_OPTIONS)
                call = channel.stream_stream(METHOD)()
                self._kept += [channel, call, asyncio.ensure_future(self._read(call))]
                self._add(call.write)
        await self._connected.wait()

    async def send_to_all(self, payload: bytes) -> None:
        await asyncio.gather(*[write(payload) for write in self._writes])

    async def _accept(self, messages: object, context: grpc.aio.ServicerContext) -> None:
        self._add(context.write)
        while (data := await context.read()) is not grpc.aio.EOF:
            self.receive(data)

    async def _read(self, call: grpc.aio.StreamStreamCall) -> None:
        # Whichever member stops first ends the call; a stream that is lost earlier shows as a round without end.
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (data := await call.read()) is not grpc.aio.EOF:
                self.receive(data)

    def _add(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._writes.append(write)
        if len(self._writes) == len(self.peers):
            self._connected.set()


class UnaryMesh(GrpcMesh):
    """One call per message."""

    def __init__(self, slot: int, size: int) -> None:
        super().__init__(slot, size)
        self.handler = grpc.unary_unary_rpc_method_handler(self._answer)

    async def connect(self, addresses: list[str]) -> None:
        self._channels = [grpc.aio.insecure_channel(addresses[peer], options=BARE_OPTIONS) for peer in self.peers]
        await asyncio.gather(*[channel.channel_ready() for channel in self._channels])
        self._calls = [channel.unary_unary(METHOD) for channel in self._channels]

    async def send_to_all(self, payload: bytes) -> None:
        await asyncio.gather(*[call(payload) for call in self._calls])

    async def _answer(self, data: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        self.receive(data)
        return b""


class TcpMesh(BareMesh):
    """Frames of a two-byte length and a message over one connection per pair."""

    async def serve(self, host: str) -> str:
        self._transports: list[asyncio.WriteTransport] = []
        self._connected = asyncio.Event()
        self._server = await asyncio.get_running_loop().create_server(lambda: Frames(self), host, 0)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def connect(self, addresses: list[str]) -> None:
        loop = asyncio.get_running_loop()
        for peer in self.peers:
            if peer > self.slot:
                host, _, port = addresses[peer].rpartition(":")
                await loop.create_connection(lambda: Frames(self), host, int(port))
        if self.peers:
            await self._connected.wait()

    async def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._server.close()

    async def send_to_all(self, payload: bytes) -> None:
        frame = len(payload).to_bytes(2, "big") + payload
        for transport in self._transports:
            transport.write(frame)

    def add(self, transport: asyncio.WriteTransport) -> None:
        self._transports.append(transport)
        if len(self._transports) == len(self.peers):
            self._connected.set()


class Frames(asyncio.Protocol):
    def __init__(self, mesh: TcpMesh) -> None:
        self._mesh, self._data = mesh, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._mesh.add(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= 2 and len(self._data) >= (end := 2 + int.from_bytes(self._data[:2], "big")):
            self._mesh.receive(self._data[2:end])
            self._data = self._data[end:]


MESHES: dict[str, type[Mesh]] = {
    "heliograph": HeliographMesh,
    "lean": LeanMesh,
    "lean tls": LeanTlsMesh,
    "grpc stream": StreamMesh,
    "grpc unary": UnaryMesh,
    "raw tcp": TcpMesh,
}
