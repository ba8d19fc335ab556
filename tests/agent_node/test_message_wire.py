"""Peer messages and hellos as bytes: what is valid survives, whatever else comes is refused by one kind of error."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_node.hello import Hello, Member, refusal
from agent_node.message import Message
from agent_node.wire import MessageWire, Outgoing
from heliograph import codecs
from heliograph.actions import DiscreteActions
from heliograph.codecs import LatentTables
from heliograph.codecs.coding import Coding
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import MessageError
from heliograph.pb import latent_pb2, peer_pb2
from heliograph.rpc import PROTOCOL_VERSION

UINT32 = st.integers(0, 2**32 - 1)
ACTIONS = DiscreteActions(count=5)


@st.composite
def formats_and_messages(draw: st.DrawFn) -> tuple[MessageFormat, Message]:
    form = MessageFormat(categoricals=draw(st.integers(1, 40)), classes=draw(st.integers(2, 40)))
    ids = draw(st.lists(st.integers(0, form.classes - 1), min_size=form.categoricals, max_size=form.categoricals))
    message = Message(
        episode=draw(UINT32),
        step=draw(UINT32),
        latent=np.array(ids, dtype=np.int32),
        action=draw(st.integers(0, ACTIONS.count - 1)),
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


WIDE = MessageFormat(categoricals=16, classes=32)
SKEWED = LatentTables(np.tile(2 ** np.arange(32), (16, 1)))


def latents_of(*changes: tuple[int, int]) -> np.ndarray:
    """Ids that the tables expect, but for these (place, id)."""
    latent = np.full(16, 31, dtype=np.int32)
    for place, value in changes:
        latent[place] = value
    return latent


@pytest.mark.parametrize("spec", ["entropy", "most-informative:16", "repeats"])
def test_a_codec_writes_messages_that_follow_one_another_and_falls_back_by_itself(spec: str) -> None:
    codec = codecs.make(spec, WIDE, SKEWED)
    wire = MessageWire(WIDE, actions=ACTIONS, codec=codec)
    said = [
        Message(episode=0, step=step, latent=latent, action=1)
        for step, latent in (
            (0, latents_of()),
            (1, latents_of((3, 30))),
            (2, np.arange(16, dtype=np.int32)),
            (4, latents_of()),
        )
    ]
    before: Message | None = None
    for message in said:
        written = Outgoing(message, before=before, wire=wire).written(None if before is None else before.label)
        previous = before.latent if before is not None and before.step == message.step - 1 else None
        assert written.latent_bits == codec.size_bits(message.latent, previous)
        assert len(written.data) <= wire.max_bytes
        before = wire.parse(written.data, before)
        assert fields_of(before) == fields_of(message)


def test_what_changed_is_told_to_those_alone_who_know_what_was_before() -> None:
    wire = MessageWire(WIDE, actions=ACTIONS, codec=codecs.make("repeats", WIDE, None))
    first, second = (Message(episode=2, step=step, latent=latents_of((5, step)), action=0) for step in (6, 7))
    outgoing = Outgoing(second, before=first, wire=wire)
    assert outgoing.written((2, 6)).latent_bits == 16 + 5
    for sent_before in (None, (2, 5), (1, 6)):
        assert outgoing.written(sent_before) is outgoing.written(None), "written once for all of them"
        assert outgoing.written(sent_before).latent_bits == 80
    assert fields_of(wire.parse(outgoing.written((2, 6)).data, first)) == fields_of(second)
    for before in (None, first._replace(step=5), first._replace(episode=1)):
        with pytest.raises(MessageError, match="never came"):
            wire.parse(outgoing.written((2, 6)).data, before)


def test_what_a_lossy_codec_loses_is_lost_without_a_stream_too() -> None:
    wire = MessageWire(WIDE, actions=ACTIONS, codec=codecs.make("most-informative:2", WIDE, SKEWED))
    message = Message(episode=0, step=0, latent=latents_of((0, 3), (15, 4)), action=0)
    outgoing = Outgoing(message, before=None, wire=wire)
    assert outgoing.as_read.latent.tolist() == latents_of((0, 3)).tolist()
    assert fields_of(outgoing.as_read) == fields_of(wire.parse(outgoing.written(None).data))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_are_the_one_serialisation_of_a_message(data: bytes) -> None:
    wire = wire_of()
    try:
        message = wire.parse(data)
    except MessageError:
        return
    again = wire.parse(wire.serialise(message).data)
    assert fields_of(again) == fields_of(message)
    assert wire.serialise(message).data == data


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


@given(formats_and_messages(), st.data())
def test_fields_in_another_order_are_refused(case: tuple[MessageFormat, Message], data: st.DataObject) -> None:
    form, message = case
    wire = MessageWire(form, actions=ACTIONS)
    whole = peer_pb2.LatentMessage.FromString(wire.serialise(message).data)
    fields = [peer_pb2.LatentMessage(**{field.name: value}).SerializeToString() for field, value in whole.ListFields()]
    shuffled = data.draw(st.permutations(fields))
    if shuffled == fields:
        assert fields_of(wire.parse(b"".join(shuffled))) == fields_of(message)
    else:
        with pytest.raises(MessageError, match="another order"):
            wire.parse(b"".join(shuffled))


def test_a_label_that_cannot_be_written_leaves_the_wire_as_it_was() -> None:
    wire, latent = wire_of(), np.zeros(4, dtype=np.int32)
    data = wire.serialise(Message(episode=3, step=4, latent=latent, action=1)).data
    with pytest.raises(ValueError, match="out of range"):
        wire.serialise(Message(episode=2**32, step=4, latent=latent, action=1))
    assert wire.parse(data).label == (3, 4)


@given(formats_and_messages(), st.data())
def test_a_message_is_read_alike_whether_or_not_one_of_its_label_was_met_before(
    case: tuple[MessageFormat, Message], data: st.DataObject
) -> None:
    form, message = case
    met = MessageWire(form, actions=ACTIONS)
    changed = met.serialise(message).data
    edits = st.tuples(st.integers(0, len(changed)), st.integers(0, 2), st.binary(max_size=2))
    for begin, removed, added in data.draw(st.lists(edits, max_size=2)):
        changed = changed[:begin] + added + changed[begin + removed :]
    outcomes = []
    for wire in (met, MessageWire(form, actions=ACTIONS)):
        try:
            outcomes.append(fields_of(wire.parse(changed)))
        except MessageError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


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


BY_TABLES = Coding(spec="entropy", tables_sha256="ab" * 32)
CODINGS = st.sampled_from([Coding(), BY_TABLES, Coding(spec="most-informative:3"), Coding(spec="repeats")])
HELLOS = st.builds(
    Hello,
    run_id=st.text(min_size=1, max_size=20),
    slot=UINT32,
    bundle_digest=st.text(min_size=1, max_size=64),
    instance=st.text(min_size=1, max_size=32),
    coding=CODINGS,
    protocol_version=UINT32,
)


@pytest.mark.slow
@given(HELLOS)
def test_every_hello_survives(hello: Hello) -> None:
    assert Hello.parse(hello.serialise()) == hello


@pytest.mark.parametrize(
    ("coding", "complaint"),
    [
        ({"codec": 5}, "codec 5, which is unknown"),
        ({"codec": 3}, "send 0 ids"),
        ({"codec": 2, "kept": 3}, "send 3 ids"),
    ],
)
def test_a_coding_that_makes_no_sense_is_refused(coding: dict[str, int], complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        Coding.from_wire(latent_pb2.LatentCoding(**coding))


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
        ({"coding": BY_TABLES}, "FAILED_PRECONDITION", "writes latents with entropy by tables abab"),
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
