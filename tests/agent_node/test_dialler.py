"""Whom a node dials: every member of a higher slot, once, for as long as it is that member."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from agent_node.dialler import Dialler
from agent_node.hello import Hello, Member
from agent_node.streams import Streams
from agent_node.transport.choice import transport_of


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
