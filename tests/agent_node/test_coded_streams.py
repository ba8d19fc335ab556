"""A real node in a run with a codec: it reads what changed by the message before, and refuses tables of others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from peer_stage import HELLO, TEAM, Stage, admitted, node_of_slot_1
from scripted_bundle import scripted_team

from agent_node.message import Message
from agent_node.node import Node
from agent_node.wire import MessageWire, Outgoing
from heliograph import codecs
from heliograph.codecs import LatentTables
from heliograph.codecs.coding import Coding
from heliograph.errors import BundleMismatch, SettingsError

REPEATS = Coding(spec="repeats")
BUNDLE = scripted_team(team_size=3, categoricals=16)[1]
WIRE = MessageWire.of(BUNDLE.manifest, codecs.make("repeats", BUNDLE.manifest.message, None))


def message(step: int) -> Message:
    """One id differs from step to step."""
    return Message(episode=0, step=step, latent=(np.arange(16) < step).astype(np.int32), action=1)


def alone(step: int) -> bytes:
    return Outgoing(message(step), before=None, wire=WIRE).written(None).data


def following(step: int) -> bytes:
    return Outgoing(message(step), before=message(step - 1), wire=WIRE).written((0, step - 1)).data


def test_changes_are_read_by_the_message_before_on_the_same_stream() -> None:
    async def script() -> None:
        async with asyncio.timeout(60), node_of_slot_1(bundle=BUNDLE, coding=REPEATS) as (node, world, channel):
            hello = replace(HELLO, coding=REPEATS)
            call = await admitted(channel, hello)
            await call.write(alone(0))
            assert (await world.step(1)).masked == ()
            assert len(following(2)) < len(alone(2))
            await call.write(following(1))
            await call.write(following(2))
            assert (await world.step(2)).masked == ()
            assert (await world.step(3)).masked == ()
            again = await admitted(channel, hello)
            await again.write(following(3))  # which a new stream cannot know
            assert (await world.step(4, deadline_s=0.2)).masked == (0,)
            await again.write(alone(4))
            assert (await world.step(5)).masked == ()
            totals = (await node.totals())[0]
            assert (totals.delivered, totals.rejected) == (4, 1)

    asyncio.run(script())


@pytest.mark.parametrize(
    ("tables", "error", "sentence"),
    [
        (None, SettingsError, "these bundles hold none. Export the run again"),
        (LatentTables(np.ones((4, 8), dtype=int)), BundleMismatch, "by tables 000000000000, the bundle of slot 1 with"),
    ],
)
def test_a_node_does_not_join_a_run_with_other_tables(
    tables: LatentTables | None, error: type[Exception], sentence: str
) -> None:
    bundle = scripted_team(team_size=3, tables=tables)[1]
    world = Stage([], Coding(spec="entropy", tables_sha256="0" * 64))
    with pytest.raises(error, match=sentence):
        asyncio.run(asyncio.wait_for(Node(bundle).run(world), 30))
    assert TEAM[1].tables is None
