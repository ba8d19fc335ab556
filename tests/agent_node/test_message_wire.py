"""Peer messages and hellos as bytes: what is valid survives, whatever else comes is refused by one kind of error."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_node.hello import Hello, Member, refusal
from agent_node.message import Message
from agent_node.wire import MessageWire
from heliograph.errors import MessageError
from heliograph.manifest import MessageFormat
from heliograph.pb import peer_pb2
from heliograph.rpc import PROTOCOL_VERSION

UINT32 = st.integers(0, 2**32 - 1)
ACTIONS = 5


@st.composite
def formats_and_messages(draw: st.DrawFn) -> tuple[MessageFormat, Message]:
    form = MessageFormat(categoricals=draw(st.integers(1, 40)), classes=draw(st.integers(2, 40)))
    ids = draw(st.lists(st.integers(0, form.classes - 1), min_size=form.categoricals, max_size=form.categoricals))
    message = Message(
        episode=draw(UINT32),
        step=draw(UINT32),
        latent=np.array(ids, dtype=np.int32),
        action=draw(st.integers(0, ACTIONS - 1)),
    )
    return form, message


def wire_of(categoricals: int = 4, classes: int = 8) -> MessageWire:
    return MessageWire(MessageFormat(categoricals=categoricals, classes=classes), actions=ACTIONS)


def fields_of(message: Message) -> tuple[int, int, list[int], int]:
    return message.episode, message.step, message.latent.tolist(), message.action


@given(formats_and_messages())
def test_every_message_survives_and_is_within_the_limit(case: tuple[MessageFormat, Message]) -> None:
    form, message = case
    wire = MessageWire(form, actions=ACTIONS)
    data = wire.serialise(message).data
    assert len(data) <= wire.max_bytes
    assert fields_of(wire.parse(data)) == fields_of(message)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_are_the_one_serialisation_of_a_message(data: bytes) -> None:
    wire = wire_of()
    try:
        message = wire.parse(data)
    except MessageError:
        return
    again = wire.parse(wire.serialise(message).data)
    assert fields_of(again) == fields_of(message)
    assert len(wire.serialise(message).data) == len(data)


@given(formats_and_messages(), st.data())
def test_truncation_and_added_bytes_are_refused(case: tuple[MessageFormat, Message], data: st.DataObject) -> None:
    form, message = case
    wire = MessageWire(form, actions=ACTIONS)
    whole = wire.serialise(message).data
    # Cutting off a whole trailing field leaves a valid message whose field is zero, as in any protobuf.
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with suppress(MessageError):
        assert fields_of(wire.parse(cut)) != fields_of(message)
    with pytest.raises(MessageError):
        wire.parse(whole + data.draw(st.binary(min_size=1, max_size=300)).replace(b"\0", b"\7"))


@given(st.lists(st.integers(0, 7), min_size=4, max_size=4))
def test_ids_out_of_range_are_refused(ids: list[int]) -> None:
    # Six and eight classes both take 3 bits, so a sender of eight can name ids that a receiver of six has not.
    narrow, wide = wire_of(classes=6), wire_of(classes=8)
    data = wide.serialise(Message(episode=0, step=0, latent=np.array(ids, dtype=np.int32), action=0)).data
    if max(ids) < 6:
        assert narrow.parse(data).latent.tolist() == ids
    else:
        with pytest.raises(MessageError, match=rf"latent id {max(ids)} outside 0\.\.5"):
            narrow.parse(data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "latent payload has 0 bytes, expected 2"),
        (peer_pb2.LatentMessage(latent=b"\0" * 3).SerializeToString(), "3 bytes, expected 2"),
        (peer_pb2.LatentMessage(latent=b"\0" * 2, action=5).SerializeToString(), "action 5, there are 5"),
        (peer_pb2.LatentMessage(latent=b"\0" * 2).SerializeToString() + b"\x30\x01", "no field"),
        (peer_pb2.LatentMessage(latent=b"\0" * 2, codec=1).SerializeToString(), "fallen back"),
        (
            peer_pb2.LatentMessage(latent=b"\0" * 2, codec=9).SerializeToString(),
            "with codec 9, here",
        ),
        (b"\0" * 35, "none has more than 34"),
        (b"\x12\xff", "not a message"),
    ],
    ids=["empty", "long latent", "action", "unknown field", "needless codec", "unknown codec", "oversized", "garbage"],
)
def test_refusals_name_what_was_wrong(data: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        wire_of().parse(data)


HELLOS = st.builds(
    Hello,
    run_id=st.text(min_size=1, max_size=20),
    slot=UINT32,
    bundle_digest=st.text(min_size=1, max_size=64),
    instance=st.text(min_size=1, max_size=32),
    protocol_version=UINT32,
)


@given(HELLOS)
def test_every_hello_survives(hello: Hello) -> None:
    assert Hello.parse(hello.serialise()) == hello


@given(st.binary(max_size=2000))
def test_random_bytes_are_no_hello_or_a_whole_one(data: bytes) -> None:
    try:
        hello = Hello.parse(data)
    except MessageError:
        return
    assert hello.run_id
    assert hello.bundle_digest
    assert hello.instance


OWN = Hello(run_id="run", slot=1, bundle_digest="d1", instance="i1")
ROSTER = {0: Member(slot=0, peer_address="host:1", instance="i0", bundle_digest="d0")}


@pytest.mark.parametrize(
    ("changes", "status", "part"),
    [
        ({}, None, ""),
        ({"protocol_version": PROTOCOL_VERSION + 1}, "FAILED_PRECONDITION", f"this node speaks {PROTOCOL_VERSION}"),
        ({"run_id": "other"}, "FAILED_PRECONDITION", "run 'other', this node is in run 'run'"),
        ({"bundle_digest": "d9"}, "FAILED_PRECONDITION", "bundle d9, the team's is d0"),
        ({"instance": "i9"}, "PERMISSION_DENIED", "another instance than 'i9'"),
        ({"slot": 1}, "PERMISSION_DENIED", "this node's own"),
        ({"slot": 3}, "PERMISSION_DENIED", "slot 3 in a team of 3"),
        ({"slot": 2}, "UNAVAILABLE", "not in this node's roster"),
    ],
)
def test_a_peer_is_admitted_only_as_the_roster_names_it(
    changes: dict[str, object], status: str | None, part: str
) -> None:
    said = {"run_id": "run", "slot": 0, "bundle_digest": "d0", "instance": "i0"} | changes
    refused = refusal(Hello(**said), own=OWN, team_size=3, roster=ROSTER)
    assert (refused.status if refused else None) == status
    assert part in (refused.sentence if refused else "")


def test_nobody_is_admitted_before_the_roster_and_anyone_of_a_static_one() -> None:
    hello = Hello(run_id="run", slot=0, bundle_digest="d0", instance="i0")
    refused = refusal(hello, own=OWN, team_size=3, roster={})
    assert refused is not None
    assert refused.status == "UNAVAILABLE"
    assert refusal(hello, own=OWN, team_size=3, roster={0: Member(slot=0, peer_address="host:1")}) is None
