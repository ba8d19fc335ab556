"""Who is connected to the page, bounded: uvicorn alone would keep as many as the process may have open files.

Connections that wait for a request, and those whose request is being answered (an open page's stream is one for as long
as the page is open), have places of their own, so that who says nothing takes none of a page's.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from heliograph.crowd import Crowd

MAX_ASKING, MAX_ANSWERED = 32, 32
"""Connections of either kind; when one more comes, the oldest of the client that has most makes room for it."""

ASKING_DEADLINE_S = 5.0
"""How long a client may take to ask, or may not read what it is answered."""

TAKEN_AT_ONCE = 16
"""Connections that the loop takes before it can cut any."""

BACKLOG = 1024
"""Of which the others wait in the kernel; who finds no place there comes again after a second."""


class PageServer(uvicorn.Server):
    """Serves `app` to a bounded number of visitors."""

    def __init__(self, app: ASGIApp, *, close_deadline_s: int) -> None:
        visitors = Visitors(app)
        config = uvicorn.Config(
            visitors,
            http=visitors.protocol(),
            ws="none",
            # Nobody forwards to it, and visitors are told apart by the addresses that they really have.
            proxy_headers=False,
            backlog=TAKEN_AT_ONCE,
            log_config=None,
            # What strangers send is no news of the run.
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=close_deadline_s,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            # asyncio has one number for what it takes at once and for what waits.
            listener.listen(BACKLOG)


class Visitors:
    """An ASGI application that is `app`, and bounds the connections through which it is asked; see `protocol`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._asking: Crowd[Visitor] = Crowd(MAX_ASKING)
        self._answered: Crowd[Visitor] = Crowd(MAX_ANSWERED)
        self._here: dict[tuple[str, int], Visitor] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = self._here.get(tuple(scope["client"]))
        if visitor is None:  # cut a moment ago
            return await self._app(scope, receive, send)
        self._asking.went(visitor)
        visitor.asked()
        self._enter(self._answered, visitor)
        try:
            await self._app(scope, receive, send)
        finally:
            self._answered.went(visitor)
            if self._here.get(visitor.address) is visitor:  # and may ask for more
                visitor.answered()
                self._enter(self._asking, visitor)

    def protocol(self) -> type[H11Protocol]:
        """What uvicorn makes for each connection."""

        class _Visitor(Visitor):
            visitors = self

        return _Visitor

    def came(self, visitor: Visitor) -> None:
        self._here[visitor.address] = visitor
        self._enter(self._asking, visitor)

    def went(self, visitor: Visitor) -> None:
        self._asking.went(visitor)
        self._answered.went(visitor)
        if self._here.get(visitor.address) is visitor:
            del self._here[visitor.address]

    @staticmethod
    def _enter(crowd: Crowd[Visitor], visitor: Visitor) -> None:
        evicted = crowd.came(visitor, visitor.address[0])
        if evicted is not None:
            evicted.cut()


class Visitor(H11Protocol):
    """A connection from its first byte to its last."""

    visitors: Visitors
    address = ("", 0)
    _is_answered = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if self.client is None:  # gone before it was taken
            transport.close()
            return
        self.address = self.client
        self._expect()
        self.visitors.came(self)

    def asked(self) -> None:
        """It has sent a request."""
        self._is_answered = True
        self._rest()

    def answered(self) -> None:
        """What it asked for is written; it may not have been read."""
        self._is_answered = False
        self._expect()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._is_answered:
            self._expect()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_answered:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self.visitors.went(self)
        super().connection_lost(exc)

    def cut(self) -> None:
        """End the connection at once."""
        # At once, and not when the transport tells of it: others may come before that.
        self.visitors.went(self)
        self.transport.abort()

    def _expect(self) -> None:
        """It has so long from now."""
        self._rest()
        self._deadline = self.loop.call_later(ASKING_DEADLINE_S, self.cut)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
