"""A coordinator that other machines can reach, and clients that want to use it up: health goes on, the team goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.team_certificates import coordinator_tls
from heliograph import bundle as bundle_files
from heliograph import rpc
from heliograph.certificates.folder import make_team, team
from heliograph.certificates.identity import COORDINATOR
from heliograph.guard import door as door_module
from heliograph.guard import places
from heliograph.guard.opening import MAX_HEADER_BLOCK_BYTES
from heliograph.http2 import PREFACE
from heliograph.listening import parse_address
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc as pb_grpc
from heliograph.tls import Tls

BUNDLES = relay_bundles(2)
SETTINGS = bytes(3) + b"\4\0" + bytes(4)
HEADERS_WITHOUT_END = b"\0\0\1\1\0\0\0\0\1\x82"
CONTINUATION = b"\0\0\1\x09\0\0\0\0\1\x82"
HELLO = b"\x16\x03\x01\x00\x40" + bytes(64)
"""A record of a TLS handshake, as long as any."""

Check = Callable[[CoordinationServer, str], Awaitable[None]]


def serve(check: Check, *, tls: Tls | None = None) -> CoordinationServer:
    """A coordinator for everybody who can reach this machine, asked at its loopback address."""

    async def run() -> CoordinationServer:
        server = CoordinationServer(
            BUNDLES,
            TeamSettings(run_seed=9, greedy=True),
            reached=ListenSettings(listen="0.0.0.0:0", tls=tls, insecure=True),
        )
        async with asyncio.timeout(60), server:
            await check(server, f"127.0.0.1:{parse_address(server.address)[1]}")
        return server

    return asyncio.run(run())


class Clients:
    """Raw connections to an address, all closed at the end; an async context manager."""

    async def __aenter__(self) -> Clients:
        self._writers: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def connect(self, address: str, sent: bytes, *, source: str = "127.0.0.9") -> asyncio.StreamReader:
        host, port = parse_address(address)
        reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
        self._writers.append(writer)
        writer.write(sent)
        return reader


async def health(address: str, *, tls: Tls | None = None) -> str:
    async with rpc.channel(address, max_message_bytes=4096, tls=tls, peer=COORDINATOR if tls else None) as channel:
        return await rpc.health_status(channel, timeout_s=10)


async def cut(reader: asyncio.StreamReader) -> None:
    """Return once the server has ended the connection."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(2**16):
            pass


@pytest.fixture
def tls(tmp_path):
    make_team(tmp_path, team(2))
    return coordinator_tls(tmp_path)


@pytest.fixture
def few_descriptors():
    """What 600 clients take in this process, and as many files on top as the door may have open for them."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/dev/null") as newest:  # descriptors are given out from the lowest
        own = places.MAX_WAITING + 6 * door_module.TAKEN_AT_ONCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest.fileno() + 600 + own, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_hundreds_that_came_while_the_loop_was_held_up_are_not_let_in_all_at_once(caplog) -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(600):  # the loop does nothing meanwhile: these wait in the kernel
                stack.enter_context(socket.create_connection(parse_address(address), 60))
            assert await health(address) == "SERVING"

    serve(check)
    assert "out of system resource" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("begins", [b"", PREFACE, PREFACE + SETTINGS])
def test_hundreds_of_connections_that_call_nothing_leave_room_for_health_and_for_nodes(begins) -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        async with Clients() as clients, PlainNode(address, BUNDLES[0]) as before:
            await before.read("welcome")
            for number in range(600):
                await clients.connect(address, begins, source=f"127.0.1.{number % 3 + 1}")
            assert [await health(address) for _ in range(7)] == ["SERVING"] * 7
            async with PlainNode(address, BUNDLES[1]) as after:
                await after.read("welcome")
                assert server.team.live == (0, 1)
        assert server.refusals.counts["RESOURCE_EXHAUSTED"] >= 600 - places.MAX_WAITING

    serve(check)


def test_half_a_handshake_does_not_count_as_a_call(tls) -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        async with Clients() as clients:
            for _ in range(300):
                await clients.connect(address, HELLO[:40])
            assert await health(address, tls=tls) == "SERVING"

    serve(check, tls=tls)


def test_headers_without_end_are_cut_after_what_is_documented() -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        async with Clients() as clients:
            enough = (MAX_HEADER_BLOCK_BYTES // len(CONTINUATION) + 1) * CONTINUATION
            await cut(await clients.connect(address, PREFACE + SETTINGS + HEADERS_WITHOUT_END + enough))
            assert server.refusals.counts["INVALID_ARGUMENT"] == 1
            assert await health(address) == "SERVING"

    serve(check)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", PREFACE[:10]])
def test_who_does_not_open_in_time_or_as_no_client_does_is_cut(sent, monkeypatch) -> None:
    monkeypatch.setattr(door_module, "OPENING_DEADLINE_S", 0.2)

    async def check(server: CoordinationServer, address: str) -> None:
        async with Clients() as clients:
            await cut(await clients.connect(address, sent))
            assert server.refusals.counts["INVALID_ARGUMENT"] == 1

    serve(check)


def test_one_client_does_not_take_the_places_of_others(monkeypatch) -> None:
    monkeypatch.setattr(places, "MAX_PER_CLIENT", 5)

    async def check(server: CoordinationServer, address: str) -> None:
        async with Clients() as clients:
            held = [await clients.connect(address, b"") for _ in range(6)]
            await cut(held[0])  # the oldest of those that called nothing
            assert await health(address) == "SERVING"
        assert server.refusals.counts["RESOURCE_EXHAUSTED"] == 1

    serve(check)


def test_a_full_server_keeps_whom_it_has_and_answers_for_its_health(monkeypatch) -> None:
    monkeypatch.setattr(places, "MAX_CALLING", 1)
    monkeypatch.setattr(places, "MAX_WAITING", 2)

    async def check(server: CoordinationServer, address: str) -> None:
        async with PlainNode(address, BUNDLES[0]) as first, Clients() as clients:
            await first.read("welcome")
            for number in range(5):
                await clients.connect(address, PREFACE, source=f"127.0.1.{number + 1}")
                assert await health(address) == "SERVING"
            assert server.team.live == (0,)

    serve(check)


def test_a_refused_node_is_named_by_its_own_address(caplog) -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        async with PlainNode(address, BUNDLES[0], protocol_version=99) as node:
            await node.status()

    server = serve(check)
    said = next(record.getMessage() for record in caplog.records if "session refused" in record.getMessage())
    behind = server.address.rpartition(":")[2]
    assert said.startswith("session refused peer=127.0.0.1:")
    assert f"127.0.0.1:{behind}" not in said


def test_bytes_of_any_size_come_through_in_both_directions() -> None:
    async def check(server: CoordinationServer, address: str) -> None:
        async with rpc.channel(address, max_message_bytes=rpc.MAX_CONTROL_BYTES) as channel:
            chunks = pb_grpc.CoordinationStub(channel).FetchBundle(pb.FetchBundleRequest(slot=1))
            tar = b"".join([chunk.data async for chunk in chunks])
        assert bundle_files.from_tar(tar, origin="it").digest == BUNDLES[1].digest

    serve(check)
