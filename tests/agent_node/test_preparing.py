"""Of two newer bundles that the coordinator announces, a node prepares the one that it was told of last."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from scripted_bundle import scripted_team

from agent_node.coordinator_world import CoordinatorWorld
from heliograph.bundle import Bundle
from heliograph.pb import coordination_pb2

NEWER, NEWEST = (scripted_team(team_size=3, training_step=step)[1] for step in (1, 2))


class Slow(CoordinatorWorld):
    """Has the newest bundle at once, and the one before only when `arrives` is set."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1", join_timeout_s=1, check=lambda bundle: None)
        self.arrives, self.asked = asyncio.Event(), asyncio.Event()

    async def _fetch(self, slot: int, *, timeout_s: float, wanted: str = "") -> Bundle:
        if wanted == NEWEST.digest:
            return NEWEST
        self.asked.set()
        await self.arrives.wait()
        return NEWER


class Prepares:
    """A node that writes down what it prepares."""

    slot = 1

    def __init__(self) -> None:
        self.prepared: list[str] = []

    def prepare(self, bundle: Bundle) -> None:
        self.prepared.append(bundle.digest)


def told(digest: str) -> coordination_pb2.CoordinatorMessage:
    return coordination_pb2.CoordinatorMessage(prepare=coordination_pb2.Prepare(digest=digest))


def test_what_is_still_being_fetched_is_given_up_for_what_is_newer() -> None:
    async def run() -> list[str]:
        world, node = Slow(), Prepares()
        world._handle(told(NEWER.digest), cast(Any, node))
        await world.asked.wait()
        world._handle(told(NEWEST.digest), cast(Any, node))
        world.arrives.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        return node.prepared

    assert asyncio.run(run()) == [NEWEST.digest]
