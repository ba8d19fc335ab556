"""The counting proxy hands on every byte, both ways, half-closes among them, and counts what it handed on."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from coordinator.links.proxy import PairProxy
from heliograph.http2 import PREFACE

DATA_FRAME = b"\x00\x00\x05\x00\x00\x00\x00\x00\x01hello"
PING = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00" + bytes(8)


def relayed(callee, caller) -> PairProxy:
    """Let `caller(reader, writer)` talk through a proxy to `callee(reader, writer)`; the proxy afterwards."""

    async def play() -> PairProxy:
        async with asyncio.timeout(20):
            served = asyncio.Event()

            async def serve(reader, writer):
                await callee(reader, writer)
                writer.close()
                served.set()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            async with PairProxy() as proxy:
                proxy.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
                host, _, port = proxy.address.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
                await caller(reader, writer)
                await served.wait()
                writer.close()
            server.close()
            return proxy

    return asyncio.run(play())


def test_what_passes_is_counted_by_direction_and_the_half_close_is_passed_on():
    got: dict[str, bytes] = {}

    async def callee(reader, writer):
        got["request"] = await reader.read()  # returns at the half-close of the caller
        writer.write(PING + DATA_FRAME * 3)
        await writer.drain()

    async def caller(reader, writer):
        writer.write(PREFACE + DATA_FRAME)
        writer.write_eof()
        got["answer"] = await reader.read()

    proxy = relayed(callee, caller)
    assert got == {"request": PREFACE + DATA_FRAME, "answer": PING + DATA_FRAME * 3}
    there, back = proxy.passed(from_dialler=True), proxy.passed(from_dialler=False)
    assert there.http2_bytes == len(PREFACE + DATA_FRAME)
    assert back.http2_bytes == len(PING + DATA_FRAME * 3)
    assert (there.frames["DATA"].frames, back.frames["DATA"].frames, back.frames["PING"].frames) == (1, 3, 1)
    assert there.connections == 1
    assert there.tcp_segments is None, "the kernel's counts went with the socket"
    assert proxy.violations == []


def test_a_slow_reader_slows_the_sender_and_loses_nothing():
    size = 8 * 2**20
    sent = []

    async def callee(reader, writer):
        await asyncio.sleep(0)
        left = size
        while left:
            left -= len(await reader.read(2**16))
        writer.write(b"done")
        await writer.drain()

    async def caller(reader, writer):
        writer.write(bytes(size))
        await writer.drain()
        sent.append(await reader.read(4))

    proxy = relayed(callee, caller)
    assert sent == [b"done"]
    assert proxy.passed(from_dialler=True).http2_bytes == size
    assert "it does not start with the preface of an HTTP/2 client" in proxy.violations


def test_a_caller_of_nobody_is_cut_off_as_by_the_system():
    async def play():
        async with asyncio.timeout(20), PairProxy() as proxy:
            with socket.socket() as closed:  # bound and not listening: refused by the kernel
                closed.bind(("127.0.0.1", 0))
                proxy.target = f"127.0.0.1:{closed.getsockname()[1]}"
                host, _, port = proxy.address.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
                assert await reader.read() == b"", "and not left waiting"
                writer.close()

    asyncio.run(play())


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")
def test_segments_are_those_of_the_sender_while_the_connection_lives():
    seen = []

    async def play():
        async with asyncio.timeout(20), PairProxy() as proxy:
            asked = asyncio.Event()

            async def serve(reader, writer):
                await reader.readexactly(len(PREFACE) + 10 * len(DATA_FRAME))
                asked.set()
                await reader.read()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            proxy.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            host, _, port = proxy.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(PREFACE)
            for _ in range(10):
                writer.write(DATA_FRAME)
            await asked.wait()
            seen.append(proxy.passed(from_dialler=True))
            writer.close()
            server.close()

    asyncio.run(play())
    (passed,) = seen
    assert passed.tcp_segments >= 2
    headers = passed.ip_bytes - passed.http2_bytes
    assert headers in (40 * passed.tcp_segments, 52 * passed.tcp_segments)
