"""Connections of which an old one makes room for a new one: their number is bounded, and nobody is kept out.

For the small servers beside a run, of metrics and of the page.  Coordinators and nodes, whose clients must not lose
their places, have `heliograph.guard.places`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from heliograph.listening import network_of

T = TypeVar("T", bound=Hashable)


class Crowd(Generic[T]):
    """At most so many connections.  Not for several threads at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._clients: dict[T, str] = {}  # in the order of their coming

    def came(self, connection: T, host: str) -> T | None:
        """Take in a connection from a host; return the one that must be ended for it, which is here no longer.

        That is the oldest of the client that has most of them, so that a client with few keeps those.
        """
        self._clients[connection] = network_of(host)
        if len(self._clients) <= self._most:
            return None
        greediest, _ = Counter(self._clients.values()).most_common(1)[0]
        oldest = next(other for other, client in self._clients.items() if client == greediest)
        del self._clients[oldest]
        return oldest

    def went(self, connection: T) -> None:
        """It is gone, perhaps since before."""
        self._clients.pop(connection, None)
