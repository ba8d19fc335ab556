"""Packed bits: exact sizes, exactly one encoding per latent, and nothing but MessageError for foreign bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.codecs.bit_packed import BitPacked
from heliograph.errors import MessageError

SHAPES = st.tuples(st.integers(1, 70), st.integers(2, 2**16))


@st.composite
def latents(draw: st.DrawFn) -> tuple[BitPacked, np.ndarray]:
    categoricals, classes = draw(SHAPES)
    ids = draw(st.lists(st.integers(0, classes - 1), min_size=categoricals, max_size=categoricals))
    return BitPacked(categoricals=categoricals, classes=classes), np.array(ids, dtype=np.int32)


@given(latents())
def test_any_latent_comes_back(case: tuple[BitPacked, np.ndarray]) -> None:
    codec, ids = case
    payload = codec.pack(ids)
    decoded = codec.unpack(payload)
    assert len(payload) == codec.payload_bytes
    assert decoded.dtype == np.int32
    assert decoded.tolist() == ids.tolist()


@given(SHAPES, st.binary(max_size=200))
@example((3, 3), b"\xff")
def test_foreign_bytes_are_refused_or_are_the_one_encoding(shape: tuple[int, int], payload: bytes) -> None:
    codec = BitPacked(categoricals=shape[0], classes=shape[1])
    try:
        ids = codec.unpack(payload)
    except MessageError:
        return
    assert codec.pack(ids) == payload


@given(SHAPES, st.data())
def test_foreign_bytes_of_the_right_length_are_refused_or_are_the_one_encoding(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    codec = BitPacked(categoricals=shape[0], classes=shape[1])
    payload = data.draw(st.binary(min_size=codec.payload_bytes, max_size=codec.payload_bytes))
    try:
        ids = codec.unpack(payload)
    except MessageError:
        return
    assert ((ids >= 0) & (ids < codec.classes)).all()
    assert codec.pack(ids) == payload


def test_32_by_32_takes_20_bytes_most_significant_bit_first() -> None:
    codec = BitPacked(categoricals=32, classes=32)
    assert (codec.bits_per_id, codec.payload_bits, codec.payload_bytes) == (5, 160, 20)
    ids = np.zeros(32, dtype=np.int32)
    ids[:8] = [1, 2, 3, 4, 5, 6, 7, 8]
    # 00001 00010 00011 00100 00101 00110 00111 01000
    assert codec.pack(ids) == bytes([0b00001000, 0b10000110, 0b01000010, 0b10011000, 0b11101000]) + bytes(15)
    assert codec.pack(np.full(32, 31)) == b"\xff" * 20


@pytest.mark.parametrize(
    ("categoricals", "classes", "payload_bytes"),
    [(1, 2, 1), (8, 8, 3), (3, 3, 1), (5, 33, 4), (2, 65536, 4), (9, 2, 2)],
)
def test_sizes_are_known_without_encoding(categoricals: int, classes: int, payload_bytes: int) -> None:
    assert BitPacked(categoricals=categoricals, classes=classes).payload_bytes == payload_bytes


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [([0, 1], "shape"), ([0, 1, 2, 3], "shape"), ([0, 1, 5], "outside 0..4"), ([0, -1, 2], "outside 0..4")],
)
def test_latents_that_do_not_fit_are_refused(ids: list[int], complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        BitPacked(categoricals=3, classes=5).pack(np.array(ids))


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [(b"", "0 bytes, expected 2"), (b"\0\0\0", "3 bytes"), (b"\0\x01", "padding"), (b"\xff\x80", "outside 0..4")],
)
def test_payloads_that_do_not_fit_are_refused(payload: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        BitPacked(categoricals=3, classes=5).unpack(payload)


@pytest.mark.parametrize(("categoricals", "classes"), [(0, 8), (8, 1), (8, 65537), (-1, 8)])
def test_impossible_codecs_are_refused(categoricals: int, classes: int) -> None:
    with pytest.raises(ValueError, match=f"{categoricals} x {classes}"):
        BitPacked(categoricals=categoricals, classes=classes)
