"""A node goes on with the bundle that it has prepared, and with no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from peer_stage import BIT_PACKED, DEADLINE_S, TEAM, Stage, admitted, exchange, node_of_slot_1
from scripted_bundle import scripted_bundle, scripted_team

from agent_node.hello import HELLO_METADATA, Hello, Member
from agent_node.node import Node
from heliograph.bundle import Bundle
from heliograph.errors import BundleError, BundleMismatch

NEWER, NEWEST = (scripted_team(team_size=3, training_step=step)[1] for step in (1, 2))
NOBODY: list[Member] = []


def on_a_node(script: Callable[[Node, Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(3 * DEADLINE_S), node_of_slot_1() as (node, world, _):
            await script(node, world)

    asyncio.run(run())


def switch(node: Node, bundle: Bundle) -> None:
    node.switch(bundle.digest, coding=BIT_PACKED, members=NOBODY)


def test_only_what_was_prepared_last_is_gone_on_with() -> None:
    async def script(node: Node, world: Stage) -> None:
        with pytest.raises(BundleMismatch, match=rf"goes on with bundle {NEWER.digest[:12]}.* has prepared none"):
            switch(node, NEWER)
        node.prepare(NEWER)
        with pytest.raises(BundleMismatch, match=rf"{NEWEST.digest[:12]}.* has prepared {NEWER.digest[:12]}"):
            switch(node, NEWEST)
        with pytest.raises(BundleMismatch):
            switch(node, TEAM[1])
        assert node.bundle_digest == TEAM[1].digest
        node.prepare(NEWEST)
        with pytest.raises(BundleMismatch):
            switch(node, NEWER)
        # The score of a first step is 3, and the training step more (see scripted_bundle).
        assert (await world.step(0, receives_from=())).decision.action == 3
        switch(node, NEWEST)
        assert node.bundle_digest == NEWEST.digest
        assert node.manifest.training_step == 2
        with pytest.raises(BundleMismatch, match="has prepared none"):
            switch(node, NEWEST)
        assert (await world.step(0, receives_from=())).decision.action == (3 + 2) % 5

    on_a_node(script)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"slot": 2}, "slot"),
        ({"observation_size": 7}, "observation_size"),
        ({"actions": 6}, "actions"),
        ({"classes": 16}, "message"),
        ({"holds": True}, "holds"),
    ],
    ids=str,
)
def test_a_bundle_that_does_not_fit_is_not_prepared_and_takes_the_place_of_none(
    other: dict[str, Any], named: str
) -> None:
    async def script(node: Node, world: Stage) -> None:
        node.prepare(NEWER)
        wrong = scripted_bundle(**{"slot": 1, "team_size": 3, **other})
        with pytest.raises(BundleError, match=named):
            node.prepare(wrong)
        for bundle in (wrong, NEWER):
            with pytest.raises(BundleMismatch, match="has prepared none"):
                switch(node, bundle)
        assert node.bundle_digest == TEAM[1].digest

    on_a_node(script)


def test_streams_of_before_end_and_the_node_says_who_it_is_now() -> None:
    """At once: nobody is told of a stream of before together with one of now."""

    async def run() -> None:
        async with asyncio.timeout(3 * DEADLINE_S), node_of_slot_1() as (node, world, channel):
            before = await admitted(channel)
            await world.until(lambda: world.peers == (0,))
            node.prepare(NEWER)
            member = Member(slot=0, peer_address="", bundle_digest=TEAM[0].digest)
            node.switch(NEWER.digest, coding=BIT_PACKED, members=[member])
            assert world.peers == ()
            assert await before.code() is grpc.StatusCode.ABORTED
            assert "goes on with another bundle" in await before.details()
            answer = dict(await exchange(channel).initial_metadata())
            assert Hello.parse(answer[HELLO_METADATA]).bundle_digest == NEWER.digest
            await world.until(lambda: world.peers == (0,))

    asyncio.run(run())
