"""Frames are told apart whatever the chunks they come in; nothing is lost, and what is no HTTP/2 is said to be none."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.links.http2 import KINDS, FrameReader
from heliograph.http2 import HEADER_BYTES, PREFACE, TYPES

FIXED = {"PRIORITY": 5, "RST_STREAM": 4, "PING": 8, "WINDOW_UPDATE": 4}


@st.composite
def frames(draw) -> tuple[str, bytes]:
    number = draw(st.integers(0, 255))
    kind = TYPES[number] if number < len(TYPES) else "OTHER"
    length = FIXED.get(kind, draw(st.integers(0, 40)))
    if kind == "SETTINGS":
        length -= length % 6
    if kind == "GOAWAY":
        length += 8
    stream = draw(st.integers(1, 2**31 - 1))
    if kind in ("SETTINGS", "PING", "GOAWAY"):
        stream = 0
    reserved = draw(st.sampled_from([0, 0x80000000]))
    flags = draw(st.integers(0, 255))
    header = length.to_bytes(3, "big") + bytes([number, flags]) + (stream | reserved).to_bytes(4, "big")
    return kind, header + draw(st.binary(min_size=length, max_size=length))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@pytest.mark.slow
@given(st.lists(frames(), max_size=12), st.booleans(), st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_are_counted_by_type_however_they_are_cut(sent, client, cuts):
    data = (PREFACE if client else b"") + b"".join(frame for _, frame in sent)
    reader = FrameReader(client=client)
    for chunk in split(data, cuts):
        reader.feed(chunk)
    assert reader.violation is None
    assert reader.pending_bytes == 0
    for kind in KINDS:
        if kind == "PREFACE":
            continue
        mine = [frame for name, frame in sent if name == kind]
        assert reader.counts[kind].frames == len(mine)
        assert reader.counts[kind].bytes == sum(map(len, mine))
    assert reader.counts["PREFACE"].frames == client
    assert reader.total_bytes == sum(count.bytes for count in reader.counts.values()) == len(data)


@given(st.binary(max_size=300), st.booleans(), st.lists(st.integers(0, 10_000), max_size=20))
def test_every_byte_of_anything_is_counted_once(data, client, cuts):
    reader, whole = FrameReader(client=client), FrameReader(client=client)
    for chunk in split(data, cuts):
        reader.feed(chunk)
    whole.feed(data)
    counted = sum(count.bytes for count in reader.counts.values())
    assert counted + reader.pending_bytes == reader.total_bytes == len(data)
    assert reader.violation == whole.violation
    if client and not PREFACE.startswith(data[: len(PREFACE)]):
        assert reader.violation is not None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x00\x00\x07\x06\x00\x00\x00\x00\x00", "PING has 7 bytes"),
        (b"\x00\x00\x05\x04\x00\x00\x00\x00\x00", "SETTINGS has 5 bytes"),
        (b"\x00\x00\x05\x08\x00\x00\x00\x00\x01", "WINDOW_UPDATE has 5 bytes"),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00", "DATA belongs to stream 0"),
        (b"\x00\x00\x08\x06\x00\x00\x00\x00\x03", "PING belongs to stream 3"),
    ],
)
def test_a_frame_that_cannot_be_ends_the_telling_apart(header, reason):
    reader = FrameReader(client=False)
    reader.feed(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
    reader.feed(header + bytes(20))
    assert reason in (reader.violation or "")
    assert reader.counts["SETTINGS"].frames == 1
    assert reader.counts["UNPARSED"].bytes == HEADER_BYTES + 20
