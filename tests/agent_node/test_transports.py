"""Every transport with every other: the same stream on the wire, whoever dials."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agent_node.transport.choice import transport_of
from agent_node.transport.lean import client
from agent_node.transport.seam import AcceptedCall, CallEnded, DialledCall
from heliograph import rpc
from heliograph.certificates.folder import make_team, team
from heliograph.certificates.identity import Identity
from heliograph.errors import PeerRefused, SettingsError
from heliograph.http2 import GOAWAY, SETTINGS, WINDOW_UPDATE, FrameHeader
from heliograph.refusals import Refusals
from heliograph.tls import Tls
from heliograph.transports import TRANSPORTS

DEADLINE_S = 20.0
ONE = Identity(slot=1)
BOTH = list(itertools.product(TRANSPORTS, TRANSPORTS))

LOOP = asyncio.Runner(loop_factory=uvloop.new_event_loop)
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_team(folder, team(2))
    return folder


def play(script: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await script()

    LOOP.run(run())


class Mailbox:
    """What a stream brought, and a wait for more."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self._came = asyncio.Event()

    def take(self, data: bytes) -> None:
        self.got.append(data)
        self._came.set()

    async def until(self, count: int) -> list[bytes]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()
        return self.got


@asynccontextmanager
async def pair(
    dialler: str,
    listener: str,
    handler: Callable[[AcceptedCall], Awaitable[None]],
    *,
    certificates: Path | None = None,
    refusals: Refusals | None = None,
) -> AsyncIterator[tuple[DialledCall, str]]:
    """A call from one transport to another that serves `handler`, and the address of that."""
    zero, one = (None if certificates is None else Tls(certificates / f"slot-{slot}") for slot in (0, 1))
    server = transport_of(listener).server(tls=one, refusals=refusals or Refusals())
    server.serve(handler)
    address = f"127.0.0.1:{server.bind('127.0.0.1:0', insecure=False)}"
    await server.start()
    line = transport_of(dialler).line(address, tls=zero, peer=ONE)
    try:
        call = await line.call(b"hello\0\xff" * 50)
        yield call, address
        call.cancel()
    finally:
        await line.close()
        await server.stop(grace_s=1.0)


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("dialler", "listener"), BOTH)
def test_messages_go_both_ways_until_both_have_said_all(
    dialler: str, listener: str, secured: bool, certificates: Path
) -> None:
    messages = [bytes([number % 251]) * (number % 70) for number in range(300)] + [bytes(rpc.MAX_PEER_BYTES)]

    async def script() -> None:
        heard, accepted = Mailbox(), asyncio.get_running_loop().create_future()

        async def handler(call: AcceptedCall) -> None:
            accepted.set_result((call.hello, call.identity, call.peer))
            await call.accept(b"answer")
            for message in messages:
                while not call.send(message):
                    assert await call.flush(timeout_s=DEADLINE_S)
            await call.receive(heard.take)
            assert await call.flush(timeout_s=DEADLINE_S)

        async with pair(dialler, listener, handler, certificates=certificates if secured else None) as (call, _):
            assert await call.answer() == b"answer"
            hello, identity, peer = await accepted
            assert hello == b"hello\0\xff" * 50
            assert identity == (Identity(slot=0) if secured else None)
            assert "127.0.0.1" in peer
            for message in messages:
                while not call.send(message):
                    assert await call.flush(timeout_s=DEADLINE_S)
            assert await call.flush(timeout_s=DEADLINE_S)
            await call.half_close()
            told = Mailbox()
            await asyncio.wait_for(call.receive(told.take), DEADLINE_S)
            assert told.got == messages
            assert heard.got == messages

    play(script)


@pytest.mark.parametrize(("dialler", "listener"), BOTH)
def test_who_cannot_judge_yet_does_not_refuse(dialler: str, listener: str) -> None:
    async def script() -> None:
        async def handler(_: AcceptedCall) -> None:
            raise CallEnded("UNAVAILABLE", "this node does not know its team yet")

        async with pair(dialler, listener, handler) as (call, _):
            with pytest.raises(CallEnded, match="this node does not know its team yet") as ended:
                await call.answer()
            assert ended.value.grpc_status == "UNAVAILABLE"

    play(script)


@pytest.mark.parametrize(("dialler", "listener"), BOTH)
def test_a_refusal_has_a_status_and_a_sentence(dialler: str, listener: str) -> None:
    async def script() -> None:
        async def handler(_: AcceptedCall) -> None:
            raise CallEnded("FAILED_PRECONDITION", 'a sentence: 100 % "sure", with ümlauts\n')

        async with pair(dialler, listener, handler) as (call, _):
            with pytest.raises(PeerRefused, match=r'FAILED_PRECONDITION: a sentence: 100 % "sure", with ümlauts'):
                await call.answer()

    play(script)


@pytest.mark.parametrize(("dialler", "listener"), BOTH)
def test_a_stream_that_is_ended_says_why_after_what_was_said_before(dialler: str, listener: str) -> None:
    async def script() -> None:
        async def handler(call: AcceptedCall) -> None:
            await call.accept(b"answer")
            call.send(b"first")
            assert await call.flush(timeout_s=DEADLINE_S)
            raise CallEnded("ABORTED", "replaced")

        async with pair(dialler, listener, handler) as (call, _):
            await call.answer()
            told = Mailbox()
            with pytest.raises(CallEnded, match="replaced") as ended:
                await asyncio.wait_for(call.receive(told.take), DEADLINE_S)
            assert ended.value.grpc_status == "ABORTED"
            assert told.got == [b"first"]

    play(script)


@pytest.mark.parametrize(("dialler", "listener"), BOTH)
def test_a_dialler_that_cancels_ends_the_others_reading(dialler: str, listener: str) -> None:
    async def script() -> None:
        over = asyncio.Event()

        async def handler(call: AcceptedCall) -> None:
            try:  # grpcio may end it before it reads
                await call.accept(b"answer")
                await call.receive(lambda data: None)
            finally:
                over.set()

        async with pair(dialler, listener, handler) as (call, _):
            await call.answer()
            call.cancel()
            await asyncio.wait_for(over.wait(), DEADLINE_S)

    play(script)


@pytest.mark.parametrize("dialler", TRANSPORTS)
def test_nobody_there_is_no_refusal(dialler: str) -> None:
    async def script() -> None:
        line = transport_of(dialler).line("127.0.0.1:1", tls=None, peer=ONE)
        with pytest.raises((CallEnded, PeerRefused), match=r"(?i)refused"):
            await (await line.call(b"hello")).answer()
        await line.close()

    play(script)


@pytest.mark.parametrize("dialler", TRANSPORTS)
def test_a_host_that_cannot_be_is_not_reached(dialler: str) -> None:
    async def script() -> None:
        line = transport_of(dialler).line(f"{'a' * 70}:1", tls=None, peer=ONE)
        with pytest.raises((CallEnded, PeerRefused)):
            await (await line.call(b"hello")).answer()
        await line.close()

    play(script)


@pytest.mark.parametrize(
    "begins",
    [
        FrameHeader(8, GOAWAY, 0, 0).serialise() + bytes(7) + b"\x0b",
        FrameHeader(4, WINDOW_UPDATE, 0, 0).serialise() + b"\x7f\xff\xff\xff",
    ],
    ids=["goaway", "a window beyond its largest"],
)
def test_a_server_that_breaks_off_before_it_is_called_is_not_reached(
    begins: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS its first bytes may come together with the end of the handshake."""

    class Begun(client.DialledLink):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.data_received(FrameHeader(0, SETTINGS, 0, 0).serialise() + begins)

    monkeypatch.setattr(client, "DialledLink", Begun)

    async def script() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(CallEnded) as ended:
                await transport_of("lean").line(f"127.0.0.1:{port}", tls=None, peer=ONE).call(b"hello")
            assert ended.value.grpc_status == "UNAVAILABLE"

    play(script)


@pytest.mark.parametrize("name", TRANSPORTS)
def test_an_address_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="not host:port"):
        transport_of(name).line("nowhere", tls=None, peer=ONE)


def test_a_transport_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="transport 'quic' is unknown"):
        transport_of("quic")


@pytest.mark.parametrize("listener", TRANSPORTS)
def test_health_is_told_on_the_same_port_and_followed(listener: str) -> None:
    async def script() -> None:
        refusals = Refusals()
        server = transport_of(listener).server(tls=None, refusals=refusals)
        address = f"127.0.0.1:{server.bind('127.0.0.1:0', insecure=False)}"
        await server.health.starting()
        await server.start()
        answers = health_pb2.HealthCheckResponse
        async with rpc.channel(address, max_message_bytes=4096) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest()
            watch = stub.Watch(request)
            assert (await watch.read()).status == answers.NOT_SERVING
            assert (await stub.Check(request, timeout=DEADLINE_S)).status == answers.NOT_SERVING
            await server.health.serving()
            assert (await watch.read()).status == answers.SERVING
            assert (await stub.Check(request, timeout=DEADLINE_S)).status == answers.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=DEADLINE_S)
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            other = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
            assert (await other.read()).status == answers.SERVICE_UNKNOWN
            other.cancel()
            with pytest.raises(grpc.aio.AioRpcError) as malformed:
                await channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\xff", timeout=DEADLINE_S)
            assert malformed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert refusals.counts["INVALID_ARGUMENT"] == 1
            with pytest.raises(grpc.aio.AioRpcError) as nothing:
                await channel.unary_unary("/heliograph.v1.Peer/Nothing")(b"", timeout=DEADLINE_S)
            assert nothing.value.code() is grpc.StatusCode.UNIMPLEMENTED
            await server.health.draining()
            assert (await watch.read()).status == answers.NOT_SERVING
            watch.cancel()
        await server.stop(grace_s=1.0)

    play(script)


@pytest.mark.parametrize("listener", TRANSPORTS)
def test_a_deadline_of_the_dialler_ends_the_call(listener: str) -> None:
    async def script() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def handler(call: AcceptedCall) -> None:
            begun.set()
            try:
                await call.accept(b"answer")
                await call.receive(lambda data: None)
            finally:
                ended.set()

        async with (
            pair("lean", listener, handler) as (first, address),
            rpc.channel(address, max_message_bytes=99) as channel,
        ):
            await first.answer()
            begun.clear()
            while not begun.is_set():  # a deadline may pass before the call has come
                call = channel.stream_stream("/heliograph.v1.Peer/Exchange")(timeout=0.3)
                assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await asyncio.wait_for(ended.wait(), DEADLINE_S)

    play(script)


def test_the_certificate_of_now_is_shown_to_each_new_connection(tmp_path: Path) -> None:
    """As with grpcio, a lean server takes files that are replaced, without a restart and with streams left alone."""
    make_team(tmp_path / "old", team(2))
    make_team(tmp_path / "new", team(2))

    async def script() -> None:
        async def handler(call: AcceptedCall) -> None:
            await call.accept(b"answer")
            await call.receive(call.send)

        async with pair("lean", "lean", handler, certificates=tmp_path / "old") as (call, address):
            await call.answer()
            line = transport_of("lean").line(address, tls=Tls(tmp_path / "new" / "slot-0"), peer=ONE)
            with pytest.raises((PeerRefused, CallEnded)):
                await (await line.call(b"hello")).answer()
            for path in (tmp_path / "new" / "slot-1").iterdir():
                path.rename(tmp_path / "old" / "slot-1" / path.name)
            other = await line.call(b"hello")
            assert await other.answer() == b"answer"
            other.cancel()
            echoed = Mailbox()
            reading = asyncio.create_task(call.receive(echoed.take))
            assert call.send(b"still there")
            assert await echoed.until(1) == [b"still there"]
            reading.cancel()

    play(script)
