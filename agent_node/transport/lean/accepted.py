"""A call that a client made on a lean server.  Imported by `server.py` and `health.py`."""

from __future__ import annotations

import asyncio
import re

from h2.errors import ErrorCodes

from agent_node.transport.lean.call import LeanCall, hello_header, hello_in, trailers
from agent_node.transport.lean.link import Link
from agent_node.transport.seam import CallEnded
from heliograph.certificates.identity import Identity

_ANSWER = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-accept-encoding", "identity")]
_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class AcceptedLeanCall(LeanCall):
    """An `AcceptedCall`."""

    def __init__(
        self, link: Link, stream: int, headers: list[tuple[bytes, bytes]], *, peer: str, identity: Identity | None
    ) -> None:
        super().__init__(link, stream)
        self._accepted = link
        self.hello, self.peer, self.identity = hello_in(headers), peer, identity
        self._has_answered = self._has_all = self._is_lost = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deadline: asyncio.TimerHandle | None = None
        timeout = re.fullmatch(rb"(\d{1,8})([HMSmun])", dict(headers).get(b"grpc-timeout", b""))
        if timeout is not None:
            seconds = int(timeout[1]) * _UNITS_S[timeout[2]]
            self._deadline = asyncio.get_running_loop().call_later(seconds, self._expire)

    async def accept(self, hello: bytes) -> None:
        self.open(hello_header(hello))

    def open(self, *headers: tuple[str, str]) -> None:
        """Answer, before the first message; later nothing happens."""
        if not self._has_answered and not self._is_lost:
            self._has_answered = True
            self._accepted.guarded(self._accepted.connection.answer, self.stream, [*_ANSWER, *headers])

    def finish(self, status: str, sentence: str) -> None:
        """End the call from this side; one that is over stays so."""
        if not self._is_lost:
            self._accepted.end_call(self, status, sentence)
            self.lost(CallEnded(status, sentence))

    async def wait_until_over(self) -> None:
        """Raises CallEnded then."""
        await asyncio.shield(self._over)

    def lost(self, error: CallEnded) -> None:
        super().lost(error)
        self._is_lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._over.done():
            self._over.set_exception(error)
            self._over.exception()  # hardly anybody waits for it

    def half_closed(self) -> None:
        super().half_closed()
        self._has_all = True

    def _expire(self) -> None:
        self.finish("DEADLINE_EXCEEDED", "the deadline that the client set has passed")

    def write_ending(self, status: str, sentence: str) -> None:
        """Trailers, with what comes before them if nothing did; the client need not say more then."""
        connection = self._accepted.connection
        headers = trailers(status, sentence)
        connection.finish(self.stream, headers if self._has_answered else [*_ANSWER, *headers])
        if not self._has_all:
            connection.reset(self.stream, ErrorCodes.NO_ERROR)
