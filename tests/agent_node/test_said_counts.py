"""A real node hears a peer whose messages say another number of ids than they hold: it refuses, counts and goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from peer_stage import HELLO, NEVER_S, admitted, node_of_slot_1, transport
from scripted_bundle import scripted_team

from agent_node.message import Message
from agent_node.wire import MessageWire
from heliograph import codecs
from heliograph.codecs import LatentTables
from heliograph.codecs.coding import Coding
from heliograph.pb import latent_pb2, peer_pb2

__all__ = ["transport"]

CATEGORICALS, CLASSES = 4, 8
TABLES = LatentTables(np.array([[4, 1, 1, 1, 1, 1, 1, unsaid] for unsaid in (1, 2, 4, 6)]))
BUNDLE = scripted_team(team_size=3, categoricals=CATEGORICALS, classes=CLASSES, prefix=True, tables=TABLES)[1]
CODECS = {spec: codecs.make(spec, BUNDLE.manifest.message, TABLES) for spec in ("bit-packed", "entropy")}
PACKED = {
    "of more ids than there are": bytes([0b101_000_00, 0]),
    "of as many as the field can tell": bytes([0b111_000_00, 0]),
    "of more ids than follow": bytes([0b100_001_00]),
    "of fewer ids than follow": bytes([0b001_001_00, 0b10_000000]),
    "of none, and one follows": bytes([0b000_001_00]),
    "of an id that stands for none": bytes([0b001_111_00]),
    "not told at all": b"",
}
"""A number in three bits, and ids in three bits each."""


def latent(*said: int) -> np.ndarray:
    return np.array([*said, *[CLASSES - 1] * (CATEGORICALS - len(said))], dtype=np.int32)


LONGEST = CODECS["entropy"].encode(latent(0, 0, 0, 0)).payload
CODED = {
    "of more ids than follow": LONGEST[:-1],
    "of fewer ids than follow": CODECS["entropy"].encode(latent(0)).payload + b"\x01",
    "of none, and one follows": CODECS["entropy"].encode(latent()).payload + b"\x01",
    "not told at all": b"",
}
WRONG = [("bit-packed", payload, False) for payload in PACKED.values()]
WRONG += [("entropy", payload, False) for payload in CODED.values()]
WRONG += [("entropy", payload, True) for payload in PACKED.values()]


def written(step: int, payload: bytes, *, fell_back: bool) -> bytes:
    message = peer_pb2.LatentMessage(episode=0, step=step, latent=payload, action=1)
    if fell_back:
        message.codec = latent_pb2.LATENT_CODEC_BIT_PACKED
    return message.SerializeToString()


@pytest.mark.parametrize("spec", CODECS)
def test_a_wrong_number_of_ids_is_refused_and_counted_and_nobody_waits_longer_for_it(spec: str) -> None:
    coding = Coding(spec=spec, tables_sha256=TABLES.sha256 if spec == "entropy" else "")
    wire = MessageWire.of(BUNDLE.manifest, CODECS[spec])
    wrong = [(payload, fell_back) for of, payload, fell_back in WRONG if of == spec]

    def right(step: int) -> bytes:
        said = latent(*[0] * (step % (CATEGORICALS + 1)))
        return wire.serialise(Message(episode=0, step=step, latent=said, action=1)).data

    assert written(0, CODECS[spec].encode(latent()).payload, fell_back=False) == right(0), "all else is as it should be"

    async def script() -> None:
        async with asyncio.timeout(60), node_of_slot_1(bundle=BUNDLE, coding=coding) as (node, world, channel):
            call = await admitted(channel, replace(HELLO, coding=coding))
            for step, (payload, fell_back) in enumerate(wrong):
                await call.write(written(step, payload, fell_back=fell_back))
                await call.write(right(step))
                report = await world.step(step + 1, deadline_s=NEVER_S)
                assert report.masked == (), "the right one that follows it is read"
                totals = (await node.totals())[0]
                assert (totals.rejected, totals.delivered) == (step + 1, step + 1), (payload, fell_back)
            last = len(wrong)
            await call.write(written(last, wrong[0][0], fell_back=wrong[0][1]))
            report = await world.step(last + 1, deadline_s=0.2)
            assert report.masked == (0,), "alone it leaves its sender masked"  # and the step ends, which `step` bounds
            await call.write(right(last + 1))
            assert (await world.step(last + 2)).masked == ()
            assert (await node.totals())[0].rejected == last + 1

    asyncio.run(script())
