"""Requests with bounds: to a host that reads nothing, reads slowly, or is just slow enough."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from heliograph.errors import NetworkError

httpx2 = pytest.importorskip("httpx2")
transport = pytest.importorskip("heliograph.hub.transport")
BODY = bytes(2**24)
"""More than the buffers between two processes take."""


@contextmanager
def host(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The address of a host that takes one connection, and does with it as it is told, until the end of the block."""
    ended = threading.Event()
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def run() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                serve(connection, ended)

        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(ended.set)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def reads_nothing(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait()


def reads_slowly(connection: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(0.05) and connection.recv(2**12):
        pass


@pytest.mark.parametrize("serve", [reads_nothing, reads_slowly])
def test_what_is_not_taken_is_left(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[socket.socket, threading.Event], None]
) -> None:
    monkeypatch.setattr(transport, "GRACE_S", 1.0)
    monkeypatch.setattr(transport, "LEAST_RATE", 1e9)
    line = transport.Line()
    with host(serve) as url, transport.BoundedClient(line) as client:
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1 takes fewer than .* so it was left after 1 s"):
            client.put(url, content=BODY)
        with pytest.raises(NetworkError, match="takes fewer than"):  # nor is anything else asked on this errand
            client.get(url)


def test_a_host_that_reads_nothing_is_left_for_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE_S", 0.5)
    with host(reads_nothing) as url, transport.BoundedClient() as client, pytest.raises(httpx2.WriteTimeout):
        client.put(url, content=BODY)


class Clock:
    """Goes on when a test says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("piece", "pieces", "end"),
    [(2**12, 8, 3.0), (2**7, 4, 1.125)],  # a piece is worth a second, or an eighth of what it takes
)
def test_bytes_that_move_buy_time(monkeypatch: pytest.MonkeyPatch, piece: int, pieces: int, end: float) -> None:
    clock, wanted = Clock(), threading.Semaphore(0)
    monkeypatch.setattr(transport, "GRACE_S", 1.0)
    monkeypatch.setattr(transport, "time", clock)

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(2**16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(pieces):
            wanted.acquire()
            connection.sendall(bytes(piece))
        ended.wait()

    with host(serve) as url, transport.BoundedClient() as client, client.stream("GET", url) as response:
        chunks, came = response.iter_raw(), 0
        for number in range(1, pieces + 1):
            clock.now = number / 4
            wanted.release()
            while came < number * piece:
                came += len(next(chunks))
        assert response.stream._purse._until == end
        clock.now = end
        with pytest.raises(NetworkError, match=f"sends fewer than 4 KiB a second, so it was left after {end:.0f} s"):
            next(chunks)


def test_requests_of_other_threads_end_with_the_line() -> None:
    line, told = transport.Line(), []
    with host(reads_nothing) as url, transport.BoundedClient(line) as client:

        def ask() -> None:
            with pytest.raises(NetworkError, match="interrupted") as refused:
                client.get(url)
            told.append(refused)

        asking = threading.Thread(target=ask)
        asking.start()
        while not line._sockets:
            pass
        line.leave("interrupted")
        asking.join(timeout=20)
    assert told


def test_a_signal_that_another_thread_gets_ends_an_errand() -> None:
    line, told = transport.Line(), []

    def interrupts(connection: socket.socket, ended: threading.Event) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        ended.wait()

    with host(interrupts) as url, transport.BoundedClient(line) as client:

        def errand() -> None:
            with pytest.raises(NetworkError, match="interrupted") as refused:
                client.get(url)
            told.append(refused)

        with pytest.raises(KeyboardInterrupt):
            line.runs(errand)
    assert told
