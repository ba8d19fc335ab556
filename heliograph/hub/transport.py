"""Requests to a hub, each of which has to come to its end within a time that goes by how much it moves.

A hub that takes or sends a byte now and then is never silent, and would be waited for without end.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx2

from heliograph.errors import NetworkError

SILENCE_S = 30.0
"""Seconds without a byte, after which a hub counts as gone."""
LEAST_RATE = 4096.0
"""Bytes a second, below which a hub counts as gone."""
GRACE_S = 60.0
"""What every request may take beside that."""
LOOK_S = 0.2
"""How often an errand is looked after."""
_PIECE = 2**16
"""Bytes that are handed to the network at a time, and counted when they are taken."""

T = TypeVar("T")


class Line:
    """What all requests of one errand share: when one is left, all are, and no further one begins."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._why = ""

    def opened(self, event: str, told: dict[str, Any]) -> None:
        """Hears of what connections do."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(told["return_value"].get_extra_info("socket"))
            if self._why:  # while it was being opened
                self._shut()

    def leave(self, why: str) -> None:
        self._why = self._why or why
        self._shut()

    def _shut(self) -> None:
        for connection in tuple(self._sockets):
            with suppress(OSError):  # closed since
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # also beneath TLS, which would say goodbye first

    def check(self) -> None:
        """Raises NetworkError if it was left."""
        if self._why:
            raise NetworkError(self._why, remedy="Try again later; pulling goes on where it stopped")

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Inside, what breaks because the line was left is raised as its reason."""
        try:
            yield
        except httpx2.HTTPError:
            self.check()
            raise

    def runs(self, errand: Callable[[], T]) -> T:
        """Run an errand to its end; Ctrl-C, and SIGTERM where it raises the same, leaves the line, and so ends it.

        In a thread of its own: what is raised in the midst of other people's code may leave their locks locked, for
        which their other threads would wait for ever.
        """
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(errand())
            except BaseException as error:
                done.set_exception(error)

        thread = threading.Thread(target=run, name="errand", daemon=True)
        try:
            thread.start()  # here, since a signal may come while it still waits for the thread
            # Looking again and again: a signal that another thread gets would not end a longer wait.
            while not wait([done], timeout=LOOK_S).done:
                pass
        except KeyboardInterrupt:
            self.leave("interrupted")
            if thread.is_alive():
                wait([done], timeout=GRACE_S)
            raise
        return done.result()


class BoundedClient(httpx2.Client):
    """A client that gives up on silence and on crawling.

    A token goes to the endpoint alone, and to no host that it redirects to.  A request raises NetworkError once it has
    taken `GRACE_S` and a second for every `LEAST_RATE` bytes that it has moved, a purse that never holds more than
    `GRACE_S`; otherwise what httpx raises.
    """

    def __init__(self, line: Line | None = None) -> None:
        super().__init__(timeout=httpx2.Timeout(SILENCE_S), follow_redirects=True, max_redirects=5)
        self._line = line or Line()

    def send(self, request: httpx2.Request, *, stream: bool = False, **settings: Any) -> httpx2.Response:
        self._line.check()
        purse = _Purse(self._line, request.url.host)
        request.extensions = {**request.extensions, "trace": self._line.opened}
        assert isinstance(request.stream, httpx2.SyncByteStream)
        request.stream = _Sent(request.stream, purse)
        try:
            with self._line.failures():
                response = super().send(request, stream=True, **settings)
                for wish in ("retry-after", "ratelimit"):  # of a hub that wants to be asked in an hour or a year
                    response.headers.pop(wish, None)
                assert isinstance(response.stream, httpx2.SyncByteStream)
                response.stream = _Received(response.stream, purse, self._line)
                if not stream:
                    response.read()
        except BaseException:
            purse.close()
            raise
        return response


class _Purse:
    """The time that a request has left, which bytes that move fill again."""

    def __init__(self, line: Line, host: str) -> None:
        self._line, self._host, self._verb = line, host, "takes"
        self._began = time.monotonic()
        self._until = self._began + GRACE_S
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def moved(self, count: int) -> None:
        self._until = min(time.monotonic() + GRACE_S, self._until + count / LEAST_RATE)

    def sent(self) -> None:
        self._verb = "sends"

    def close(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(max(0.0, self._until - time.monotonic())):
            if (now := time.monotonic()) >= self._until:
                rate, took = LEAST_RATE / 1024, now - self._began
                self._line.leave(
                    f"{self._host} {self._verb} fewer than {rate:g} KiB a second, so it was left after {took:.0f} s"
                )
                return


class _Sent(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, purse: _Purse) -> None:
        self._stream, self._purse = stream, purse

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            for start in range(0, len(chunk), _PIECE):
                yield (piece := chunk[start : start + _PIECE])
                self._purse.moved(len(piece))
        self._purse.sent()

    def close(self) -> None:
        self._stream.close()


class _Received(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, purse: _Purse, line: Line) -> None:
        self._stream, self._purse, self._line = stream, purse, line

    def __iter__(self) -> Iterator[bytes]:
        with self._line.failures():
            for chunk in self._stream:
                self._purse.moved(len(chunk))
                yield chunk
        self._line.check()  # what has no length, and was left, looks like an answer that has ended

    def close(self) -> None:
        self._purse.close()
        self._stream.close()
