"""Channels and servers: ports, sizes and health states, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tcp_detour import TcpDetour

from heliograph import rpc
from heliograph.errors import PortTaken, SettingsError
from heliograph.rpc import MAX_CONTROL_BYTES, MAX_PEER_BYTES, Health

CALL_DEADLINE_S = 10.0
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def serving(*, max_message_bytes: int = MAX_CONTROL_BYTES) -> AsyncIterator[tuple[Health, str]]:
    """A started server with a health service; yields it and the server's address."""
    server = rpc.server(max_message_bytes=max_message_bytes)
    health = Health(server)
    await health.starting()
    port = rpc.bind(server, "127.0.0.1:0")
    await server.start()
    try:
        yield health, f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


async def status(address: str) -> int:
    async with rpc.channel(address, max_message_bytes=MAX_CONTROL_BYTES) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_DEADLINE_S)).status


def test_health_follows_the_life_of_a_process() -> None:
    async def scenario() -> list[int]:
        async with serving() as (health, address):
            seen = [await status(address)]
            await health.serving()
            seen.append(await status(address))
            await health.draining()
            seen.append(await status(address))
            await health.serving()  # on its way out for good
            seen.append(await status(address))
        return seen

    assert asyncio.run(scenario()) == [NOT_SERVING, SERVING, NOT_SERVING, NOT_SERVING]


def test_health_can_be_watched() -> None:
    async def scenario() -> list[int]:
        async with serving() as (health, address), rpc.channel(address, max_message_bytes=4096) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=CALL_DEADLINE_S)
            seen = [(await watch.read()).status]
            for change in (health.serving, health.draining):
                await change()
                seen.append((await watch.read()).status)
            watch.cancel()
        return seen

    assert asyncio.run(scenario()) == [NOT_SERVING, SERVING, NOT_SERVING]


def test_port_0_gives_every_server_its_own_port() -> None:
    async def scenario() -> set[str]:
        async with serving() as (_, first), serving() as (_, second):
            return {first, second}

    addresses = asyncio.run(scenario())
    assert len(addresses) == 2
    assert all(int(address.rpartition(":")[2]) > 0 for address in addresses)


def test_a_port_of_another_server_is_taken() -> None:
    async def scenario() -> None:
        async with serving() as (_, address):
            other = rpc.server(max_message_bytes=MAX_CONTROL_BYTES)
            with pytest.raises(PortTaken, match=f"cannot listen on {address}.*port 0"):
                rpc.bind(other, address)
            await other.stop(grace=None)

    asyncio.run(scenario())


def test_a_port_of_a_foreign_program_and_a_host_that_is_not_ours_are_refused() -> None:
    async def refused(address: str) -> None:
        server = rpc.server(max_message_bytes=MAX_CONTROL_BYTES)
        with pytest.raises(PortTaken, match="cannot listen"):
            rpc.bind(server, address, insecure=True)
        await server.stop(grace=None)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(refused(f"127.0.0.1:{taken.getsockname()[1]}"))
    asyncio.run(refused("192.0.2.1:0"))  # reserved for documentation, so never this host's


def test_a_port_is_free_again_once_its_server_stopped() -> None:
    async def scenario() -> None:
        async with serving() as (_, address):
            pass
        again = rpc.server(max_message_bytes=MAX_CONTROL_BYTES)
        assert rpc.bind(again, address) == int(address.rpartition(":")[2])
        await again.stop(grace=None)

    asyncio.run(scenario())


def echo(server: grpc.aio.Server) -> None:
    async def handle(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


async def with_echo(call: Callable[[grpc.aio.Channel], Awaitable[None]]) -> None:
    server = rpc.server(max_message_bytes=MAX_PEER_BYTES)
    echo(server)
    port = rpc.bind(server, "127.0.0.1:0")
    await server.start()
    try:
        async with rpc.channel(f"127.0.0.1:{port}", max_message_bytes=2 * MAX_PEER_BYTES) as channel:
            await call(channel)
    finally:
        await server.stop(grace=None)


def test_a_message_over_the_servers_limit_is_refused_and_the_connection_lives_on() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        method = channel.unary_unary("/test.Echo/Echo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(bytes(MAX_PEER_BYTES + 1), timeout=CALL_DEADLINE_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(await method(bytes(MAX_PEER_BYTES), timeout=CALL_DEADLINE_S)) == MAX_PEER_BYTES

    asyncio.run(with_echo(call))


def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)

    async def call(channel: grpc.aio.Channel) -> None:
        assert await channel.unary_unary("/test.Echo/Echo")(b"direct", timeout=CALL_DEADLINE_S) == b"direct"

    asyncio.run(with_echo(call))


def test_a_first_attempt_to_connect_may_take_the_round_trips_of_a_slow_link() -> None:
    async def scenario() -> int:
        async with serving() as (_, address), TcpDetour(delay_s=0.3) as slow_link:
            slow_link.target = address
            return await status(slow_link.address)

    assert asyncio.run(scenario()) == NOT_SERVING


def test_a_channel_to_nobody_fails_within_its_deadline() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"  # bound, but nobody listens

        async def scenario() -> grpc.StatusCode:
            try:
                await status(address)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        assert asyncio.run(scenario()) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:", "127.0.0.1", ":7100", "a:b", "a:²", f"a:{'9' * 5000}"],
)
def test_what_is_no_address_is_neither_listened_on_nor_dialled(address: str) -> None:
    """gRPC would take a port modulo 65536."""

    async def check() -> None:
        server = rpc.server(max_message_bytes=MAX_PEER_BYTES)
        with pytest.raises(SettingsError, match=r"is not host:port|has port (99999|65536)\. Ports end at 65535"):
            rpc.bind(server, address)
        with pytest.raises(SettingsError, match=r"is not host:port|has port (99999|65536)\. Ports end at 65535"):
            rpc.channel(address, max_message_bytes=MAX_PEER_BYTES)
        await server.stop(grace=None)

    asyncio.run(check())


def test_a_proxy_of_the_shell_reroutes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> int:
        async with serving() as (health, address):
            await health.serving()
            return await status(address)

    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert asyncio.run(scenario()) == SERVING
