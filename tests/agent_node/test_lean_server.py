"""A lean server behind a real socket: what raw clients meet, and that others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from agent_node.transport.lean import link
from agent_node.transport.lean import server as server_module
from agent_node.transport.lean.client import LeanLine
from agent_node.transport.lean.server import AcceptedLink, LeanServer
from agent_node.transport.seam import AcceptedCall
from heliograph import rpc
from heliograph.certificates.folder import make_team, team
from heliograph.certificates.identity import Identity
from heliograph.guard import places
from heliograph.http2 import PREFACE, FrameHeader
from heliograph.refusals import Refusals
from heliograph.tls import Tls

DEADLINE_S = 20.0
SETTINGS = FrameHeader(0, 4, 0, 0).serialise()
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/heliograph.v1.Peer/Exchange"),
    (":authority", "peer"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("heliograph-hello-bin", "aGVsbG8"),
]

LOOP = asyncio.Runner(loop_factory=uvloop.new_event_loop)


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


class Raw:
    """A client that may do anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events: list[Event] = []

    def call(self, *more: tuple[str, str], **changed: str) -> None:
        """Open a connection and a stream on it; `changed` are pseudo-headers and others, `_` for `-`."""
        self.h2.initiate_connection()
        renamed = {name.replace("_", "-"): value for name, value in changed.items()}
        headers = [(name, renamed.get(name.lstrip(":"), value)) for name, value in REQUEST]
        self.h2.send_headers(1, [*headers, *more])
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def until(self, kind: type[Event]) -> Event:
        """The next event of a kind; what came before it is in `events`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        self.events.remove(event)
                        return event
                data = await self.reader.read(2**16)
                assert data, f"the connection ended before {kind.__name__}"
                self.events += self.h2.receive_data(data)
                self.flush()

    async def end(self) -> bytes:
        """What comes until the server has ended the connection."""
        found = b""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(2**16):
                    found += data
        return found


class Stage:
    """A server that answers hellos and returns what it is sent."""

    def __init__(self, tls: Tls | None) -> None:
        self.refusals = Refusals()
        self.server = LeanServer(tls=tls, refusals=self.refusals)
        self.server.serve(self._echo)
        self.address = f"127.0.0.1:{self.server.bind('127.0.0.1:0', insecure=False)}"
        self.raws: list[Raw] = []

    async def _echo(self, call: AcceptedCall) -> None:
        await call.accept(b"answer")
        await call.receive(call.send)
        await call.flush(timeout_s=DEADLINE_S)

    async def raw(self) -> Raw:
        host, _, port = self.address.rpartition(":")
        self.raws.append(Raw(*await asyncio.open_connection(host, int(port))))
        return self.raws[-1]

    async def is_served(self, tls: Tls | None = None) -> bool:
        """Whether an honest peer is."""
        line = LeanLine(self.address, tls=tls, peer=Identity(slot=1))
        call = await line.call(b"hello")
        echoed: list[bytes] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                await call.answer()
                call.send(b"echo")
                await call.half_close()
                await call.receive(echoed.append)
        finally:
            call.cancel()
        return echoed == [b"echo"]


@asynccontextmanager
async def stage(tls: Tls | None = None) -> AsyncIterator[Stage]:
    made = Stage(tls)
    await made.server.start()
    try:
        yield made
    finally:
        for raw in made.raws:
            raw.writer.close()
        await made.server.stop(grace_s=0.1)


def play(script: Callable[[Stage], Awaitable[None]], tls: Tls | None = None) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), stage(tls) as made:
            await script(made)

    LOOP.run(run())


def message(payload: bytes, *, compressed: int = 0) -> bytes:
    return bytes([compressed]) + len(payload).to_bytes(4, "big") + payload


def status_of(event: Event) -> tuple[str, str]:
    headers = dict(event.headers)  # type: ignore[attr-defined]
    return headers["grpc-status"], headers.get("grpc-message", "")


def test_messages_in_pieces_and_several_in_one_frame_are_what_they_were() -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call()
        assert dict((await raw.until(ResponseReceived)).headers)["heliograph-hello-bin"] == "YW5zd2Vy"
        sent = b"".join(message(bytes([number]) * number) for number in range(40))
        for at in range(0, 100, 3):
            raw.h2.send_data(1, sent[at : at + 3], pad_length=at % 7 or None)
        raw.h2.send_data(1, sent[102:], end_stream=True)
        raw.flush()
        got = b""
        while len(got) < len(sent):
            got += (await raw.until(DataReceived)).data
        assert got == sent
        assert status_of(await raw.until(TrailersReceived)) == ("0", "")
        await raw.until(StreamEnded)

    play(script)


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        (message(b"x", compressed=1), "12", "compressed"),
        (message(bytes(rpc.MAX_PEER_BYTES + 1)), "8", "larger than max (4097 vs. 4096 bytes)"),
        (b"\0\xff\xff\xff\xff", "8", "larger than max"),
    ],
)
def test_a_message_that_cannot_be_ends_its_call_alone(sent: bytes, status: str, sentence: str) -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call()
        await raw.until(ResponseReceived)
        raw.h2.send_data(1, sent)
        raw.flush()
        found = status_of(await raw.until(TrailersReceived))
        assert found[0] == status
        assert sentence in found[1]
        assert (await raw.until(StreamReset)).error_code == 0, "it need not send more"
        raw.h2.send_headers(3, REQUEST)
        raw.flush()
        await raw.until(ResponseReceived)

    play(script)


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"path": "/other/Method"}, "12"), ({"method": "PUT"}, "3"), ({"content_type": "text/html"}, "3")],
)
def test_a_request_that_is_not_ours_is_refused_in_a_sentence(changed: dict[str, str], status: str) -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call(**changed)
        found = status_of(await raw.until(ResponseReceived))
        assert found[0] == status
        assert found[1]

    play(script)


def test_a_call_that_compresses_is_refused() -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call(("grpc-encoding", "gzip"))
        assert status_of(await raw.until(ResponseReceived))[0] == "12"

    play(script)


def test_who_sends_nothing_but_pings_is_cut_and_counted_and_others_are_served() -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call()
        await raw.until(ResponseReceived)
        raw.writer.write(b"".join(FrameHeader(8, 6, 0, 0).serialise() + bytes(8) for _ in range(2000)))
        with contextlib.suppress(AssertionError, ConnectionError):
            await raw.until(ConnectionTerminated)
        await raw.end()
        assert made.refusals.counts == {"RESOURCE_EXHAUSTED": 1}
        assert await made.is_served()

    play(script)


def test_hundreds_that_call_nothing_leave_a_place_for_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_WAITING", 20)
    monkeypatch.setattr(server_module, "ADMITTED_AT_ONCE", 1000)

    async def script(made: Stage) -> None:
        for begins in (b"", PREFACE, PREFACE + SETTINGS) * 20:
            raw = await made.raw()
            raw.writer.write(begins)
        assert await made.is_served()
        assert made.refusals.counts["RESOURCE_EXHAUSTED"] >= 40

    play(script)


@pytest.mark.parametrize("begins", [b"", PREFACE, PREFACE[:10]])
def test_who_does_not_begin_in_time_is_cut(begins: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(made: Stage) -> None:
        with monkeypatch.context() as hurried:
            hurried.setattr(server_module, "OPENING_DEADLINE_S", 0.2)
            raw = await made.raw()
            raw.writer.write(begins)
            await raw.end()
        assert made.refusals.counts == {"INVALID_ARGUMENT": 1}
        assert await made.is_served()

    play(script)


@pytest.mark.slow
def test_who_calls_nothing_any_more_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_TICKS", 1)

    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.h2.initiate_connection()
        raw.flush()
        assert (await raw.until(ConnectionTerminated)).error_code == 0
        assert not made.refusals.counts

    play(script)


def test_more_connections_than_are_admitted_at_once_wait_and_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ADMITTED_AT_ONCE", 2)

    async def script(made: Stage) -> None:
        assert all(await asyncio.gather(*(made.is_served() for _ in range(12))))

    play(script)


def test_half_a_handshake_does_not_keep_a_peer_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_WAITING", 20)
    monkeypatch.setattr(server_module, "ADMITTED_AT_ONCE", 1000)
    make_team(tmp_path, team(2))

    async def script(made: Stage) -> None:
        for begins in (b"", b"\x16\x03\x01\x02\x00\x01", PREFACE + SETTINGS) * 20:
            raw = await made.raw()
            raw.writer.write(begins)
        assert await made.is_served(Tls(tmp_path / "slot-0"))

    play(script, Tls(tmp_path / "slot-1"))


def test_a_client_that_calls_all_the_time_has_no_more_connections_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_PER_CLIENT", 2)

    async def script(made: Stage) -> None:
        for _ in range(2):
            raw = await made.raw()
            raw.call()
            await raw.until(ResponseReceived)
        raw = await made.raw()
        raw.call()
        assert await raw.end() == b""
        assert made.refusals.counts == {"RESOURCE_EXHAUSTED": 1}
        assert len(made.server.places.everybody) == 2

    play(script)


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_who_asks_for_health_asks_once(method: str) -> None:
    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.call(path=f"/grpc.health.v1.Health/{method}")
        raw.h2.send_data(1, 3 * message(b""))
        raw.flush()
        assert status_of(await raw.until(ResponseReceived)) == ("3", "there is more than one request")
        assert made.refusals.counts == {"INVALID_ARGUMENT": 1}

    play(script)


def test_whoever_watches_health_leaves_room_for_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MAX_CALLS", 4)
    watch = [(name, "/grpc.health.v1.Health/Watch" if name == ":path" else value) for name, value in REQUEST]

    async def script(made: Stage) -> None:
        raw = await made.raw()
        raw.h2.initiate_connection()
        for stream in (1, 3, 5, 7):
            raw.h2.send_headers(stream, watch)
            raw.h2.send_data(stream, message(b""), end_stream=True)
        raw.flush()
        assert status_of(await raw.until(ResponseReceived)) == ("8", "there are 2 calls already")
        assert await made.is_served()

    play(script)


def test_a_server_that_stops_does_not_wait_for_who_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "KEEPALIVE_MS", 600_000)

    async def script(made: Stage) -> None:
        is_full = asyncio.Event()

        async def flood(call: AcceptedCall) -> None:
            await call.accept(b"answer")
            while call.send(bytes(rpc.MAX_PEER_BYTES)):
                pass
            is_full.set()
            await call.receive(call.send)

        made.server.serve(flood)
        raw = await made.raw()
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.h2.initiate_connection()
        raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        raw.h2.increment_flow_control_window(2**30)
        raw.h2.send_headers(1, REQUEST)
        raw.flush()
        await asyncio.wait_for(is_full.wait(), DEADLINE_S)
        (accepted,) = made.server.places.everybody
        assert isinstance(accepted, AcceptedLink)
        await made.server.stop(grace_s=0.1)
        await asyncio.wait_for(accepted.gone.wait(), DEADLINE_S)

    play(script)
