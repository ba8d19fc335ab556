"""Whom a node dials: every member of a higher slot, once, for as long as it is that member."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from agent_node import dialler
from agent_node.dialler import Dialler
from agent_node.hello import Hello, Member
from agent_node.streams import Streams
from agent_node.transport.choice import transport_of
from agent_node.transport.seam import CallEnded, Line, Transport
from heliograph.errors import PeerRefused


def member(slot: int, *, port: int = 7) -> Member:
    return Member(slot=slot, peer_address=f"127.0.0.1:{port}")


class Dialled(Dialler):
    """Writes down whom it dials and for how long, and says nothing to anybody."""

    def __init__(self) -> None:
        streams = cast(Streams, SimpleNamespace(closing=False))
        super().__init__(streams, team_size=4, transport=transport_of("grpcio"), tls=None)
        self.now: list[Member] = []

    async def _dial(self, member: Member, own: Hello) -> None:
        self.now.append(member)
        try:
            await asyncio.Event().wait()
        finally:
            self.now.remove(member)


def test_those_of_higher_slots_are_dialled_once_and_left_alone_when_they_change() -> None:
    members = {slot: member(slot) for slot in range(4)}
    own = Hello(run_id="run", slot=1, bundle_digest="", instance="one")

    async def play() -> list[list[Member]]:
        dialler, seen = Dialled(), []
        moved = {**members, 3: member(3, port=9)}
        for roster, hello in ((members, own), (members, own), (moved, own), ({}, own), (members, None)):
            dialler.keep(roster, own=hello)
            await asyncio.sleep(0)
            seen.append(sorted(dialler.now, key=lambda each: each.slot))
        await dialler.close(timeout_s=0)
        return seen

    both, moved = [members[2], members[3]], [members[2], member(3, port=9)]
    assert asyncio.run(play()) == [both, both, moved, [], []]


class Failing(Dialler):
    """Fails in these ways, one after the other, and then leaves off."""

    def __init__(self, *errors: Exception) -> None:
        self.streams = SimpleNamespace(closing=False)
        line = SimpleNamespace(close=lambda: asyncio.sleep(0))
        transport = SimpleNamespace(line=lambda *_, **__: line)
        super().__init__(cast(Streams, self.streams), team_size=4, transport=cast(Transport, transport), tls=None)
        self.errors = list(errors)

    async def _converse(self, line: Line, member: Member, own: Hello) -> None:
        error = self.errors.pop(0)
        self.streams.closing = not self.errors
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CallEnded("UNAVAILABLE", "this node does not know its team yet"), ["times=3"]),
        (PeerRefused("slot 2 has another run"), ["times=1"]),
    ],
    ids=["not there yet", "refused"],
)
def test_a_peer_that_is_not_there_yet_is_told_of_when_it_does_not_come(
    error: Exception, told: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nodes that join one after the other are no news; one that refuses is, at once, and both once."""
    monkeypatch.setattr(dialler, "retry_pause_s", lambda _: 0.0)
    failing = Failing(*[error] * 5)

    async def play() -> None:
        failing.keep({2: member(2)}, own=Hello(run_id="run", slot=1, bundle_digest="", instance="one"))
        await failing.close(timeout_s=60)

    with caplog.at_level(logging.WARNING):
        asyncio.run(play())
    assert not failing.errors
    assert [re.findall(r"times=\d+", record.getMessage()) for record in caplog.records] == [told]


class Answering:
    """A transport on which whoever is dialled answers with a hello."""

    def __init__(self, hello: Hello) -> None:
        self._hello, self.calls_over = hello, 0

    def line(self, *_: object, **__: object) -> Line:
        return cast(Line, self)

    async def call(self, _hello: bytes) -> Answering:
        return self

    async def answer(self) -> bytes:
        return self._hello.serialise()

    async def half_close(self) -> None:
        pass

    def cancel(self) -> None:
        self.calls_over += 1

    async def close(self) -> None:
        pass


class Attached:
    """Streams that write down who is attached; no more are dialled after the first that is, or the first pause."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.closing = False

    @contextlib.contextmanager
    def attached(self, slot: int, _stream: object) -> Iterator[None]:
        self.slots.append(slot)
        yield

    async def exchange(self, _slot: int, _stream: object) -> None:
        self.closing = True


OWN = Hello(run_id="run", slot=1, bundle_digest="mine", instance="one")
TWO = Hello(run_id="run", slot=2, bundle_digest="its", instance="two")


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (TWO, None),
        (replace(TWO, slot=3), "127.0.0.1:7 is not slot 2 of this team: "),
        (replace(TWO, run_id="another"), "127.0.0.1:7 is not slot 2 of this team: .*another"),
        (replace(TWO, instance="older"), "127.0.0.1:7 is not slot 2 of this team: "),
    ],
    ids=["itself", "another slot", "another run", "another process"],
)
def test_who_answers_and_is_not_who_was_dialled_is_not_talked_to(
    hello: Hello, said: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    streams, transport = Attached(), Answering(hello)

    def leave_off(_failures: int) -> float:
        streams.closing = True
        return 0.0

    monkeypatch.setattr(dialler, "retry_pause_s", leave_off)
    members = {2: Member(slot=2, peer_address="127.0.0.1:7", instance="two", bundle_digest="its")}

    async def play() -> None:
        dialling = Dialler(cast(Streams, streams), team_size=4, transport=cast(Transport, transport), tls=None)
        dialling.keep(members, own=OWN)
        await dialling.close(timeout_s=60)

    with caplog.at_level(logging.WARNING):
        asyncio.run(play())
    assert streams.slots == ([2] if said is None else [])
    assert transport.calls_over == 1
    told = [record.getMessage() for record in caplog.records]
    assert told == [] if said is None else [bool(re.search(said, line)) for line in told] == [True]
