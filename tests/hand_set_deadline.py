"""A deadline of a coordinator's team that passes when a test says so, and not by the clock of a busy machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from coordinator.serving import wire
from coordinator.serving.team import Session, Team


class HandSetDeadline:
    """Of a team's waits, those that have this `timeout_s` end in vain only by `passes_once_after`.

    A team that waits for what it should not wait for then waits for ever.
    """

    def __init__(self, team: Team, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._wait_until, self._on_act, self._on_prepared = team.wait_until, team.on_act, team.on_prepared
        self._predicate: Callable[[], bool] | None = None  # of the wait that is on
        self._answered: set[int] = set()
        self._needed: frozenset[int] | None = None
        self._over = asyncio.Event()
        for heard in (self.wait_until, self.on_act, self.on_prepared):
            setattr(team, heard.__name__, heard)

    def passes_once_after(self, slots: Iterable[int]) -> None:
        """Let it pass in the wait in which all these slots have answered and that still goes on; in no other after."""
        self._needed = frozenset(slots)
        self._check()

    async def wait_until(self, predicate: Callable[[], bool], *, timeout_s: float) -> bool:
        if timeout_s != self._timeout_s:
            return await self._wait_until(predicate, timeout_s=timeout_s)
        self._predicate = predicate
        self._answered.clear()
        self._over.clear()
        self._check()
        ends = self._wait_until(predicate, timeout_s=1e6), self._over.wait()
        waits = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return predicate()
        finally:
            self._predicate = None
            for wait in waits:
                wait.cancel()

    def on_act(self, session: Session, act: wire.Act) -> None:
        self._on_act(session, act)
        self._hear(session)

    def on_prepared(self, session: Session, digest: str, reason: str) -> None:
        self._on_prepared(session, digest, reason)
        self._hear(session)

    def _hear(self, session: Session) -> None:
        self._answered.add(session.slot)
        self._check()

    def _check(self) -> None:
        if self._predicate is None or self._predicate():
            return
        if self._needed is not None and self._needed <= self._answered:
            self._needed = None
            self._over.set()
