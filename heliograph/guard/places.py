"""Who may hold a connection to a server: so many in all, so many from one client, and those that call before others.

For servers that other machines can reach: the door of the coordinator, and the lean server of a node.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from heliograph.rpc import MAX_CONNECTIONS

MAX_WAITING = 128
"""Connections that have not called anything yet, or called when all places were taken.  When there are more, the client
that has most of them loses its oldest: who comes to ask for health and leaves always finds a place."""

MAX_CALLING = MAX_CONNECTIONS - MAX_WAITING
"""Connections that have; together with those that wait no more than the server itself admits."""

MAX_PER_CLIENT = 128
"""Of both kinds from one address, or one /64 of IPv6; a machine may hold a whole team."""

_MAX_LOGGED = 1024
"""Clients that have been warned of, each once."""

_log = logging.getLogger(__name__)


class Visitor(Protocol):
    """A connection from a client."""

    address: str
    """host:port, for logs."""
    host: str
    """By `listening.network_of`."""

    def cut(self) -> None:
        """End the connection at once."""
        ...


class Places:
    """`refused(status)` is told of each connection that is cut, with the name of the gRPC status that comes nearest."""

    def __init__(self, refused: Callable[[str], None]) -> None:
        self._refused = refused
        self._waiting: dict[Visitor, None] = {}  # in the order of their coming
        self._calling: set[Visitor] = set()
        self._of_host: Counter[str] = Counter()
        self._logged: set[str] = set()

    @property
    def everybody(self) -> tuple[Visitor, ...]:
        """Who is here now."""
        return (*self._waiting, *self._calling)

    def came(self, visitor: Visitor) -> None:
        self._of_host[visitor.host] += 1
        self._waiting[visitor] = None
        if self._of_host[visitor.host] > MAX_PER_CLIENT:
            # The newest of all, unless the client keeps older ones open for nothing.
            self.cut(next(other for other in self._waiting if other.host == visitor.host), "too many connections")
        elif len(self._waiting) > MAX_WAITING:
            most, _ = Counter(other.host for other in self._waiting).most_common(1)[0]
            self.cut(next(other for other in self._waiting if other.host == most), "others wait as well")

    def called(self, visitor: Visitor) -> None:
        """It has called; while all places are taken it is served where it waited, and may still be cut for others."""
        if visitor in self._waiting and len(self._calling) < MAX_CALLING:
            del self._waiting[visitor]
            self._calling.add(visitor)

    def went(self, visitor: Visitor) -> bool:
        """It is gone; False if it was before."""
        if visitor not in self._waiting and visitor not in self._calling:
            return False
        self._waiting.pop(visitor, None)
        self._calling.discard(visitor)
        self._of_host[visitor.host] -= 1
        if not self._of_host[visitor.host]:
            del self._of_host[visitor.host]
        return True

    def cut(self, visitor: Visitor, reason: str, *, status: str = "RESOURCE_EXHAUSTED") -> None:
        """End a connection, and count it as `status`."""
        self._refused(status)
        # A flood must not become one of log lines.
        level = logging.DEBUG
        if visitor.host not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(visitor.host)
            level = logging.WARNING
        _log.log(level, "connection cut client=%s reason=%r", visitor.address, reason)
        # At once, and not when the transport tells of it: others may come before that.
        self.went(visitor)
        visitor.cut()
