"""Messages that say only their first ids: every latent comes back as it was, by the one encoding that it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import codecs
from heliograph.codecs import Codec, LatentTables
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import MessageError, SettingsError

SPECS = ("bit-packed", "entropy")


@dataclass(frozen=True)
class Case:
    message: MessageFormat
    tables: LatentTables
    latents: list[np.ndarray]

    def codec(self, spec: str) -> Codec:
        return codecs.make(spec, self.message, self.tables)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    categoricals, classes = draw(st.integers(1, 40)), draw(st.integers(3, 40))
    counts = draw(
        st.lists(
            st.lists(st.integers(0, 2**20), min_size=classes, max_size=classes),
            min_size=categoricals,
            max_size=categoricals,
        )
    )
    latents = []
    for _ in range(draw(st.integers(1, 4))):
        said = draw(st.lists(st.integers(0, classes - 2), max_size=categoricals))
        latents.append(np.array(said + [classes - 1] * (categoricals - len(said)), dtype=np.int32))
    message = MessageFormat(categoricals=categoricals, classes=classes, prefix=True)
    return Case(message, LatentTables(np.array(counts)), latents)


@pytest.mark.slow
@pytest.mark.arrays
@pytest.mark.parametrize("spec", SPECS)
@given(case=cases())
def test_every_latent_is_read_back_and_its_size_known(spec: str, case: Case) -> None:
    codec = case.codec(spec)
    for latent in case.latents:
        encoded, bits = codec.encode(latent), codec.size_bits(latent)
        assert np.array_equal(codec.decode(encoded.payload, None, encoded.fell_back), latent)
        assert len(encoded.payload) == -(-bits // 8)
        assert bits <= case.message.codec.size_bits(latent) <= case.message.codec.payload_bits


@pytest.mark.slow
@pytest.mark.arrays
@pytest.mark.parametrize("spec", SPECS)
@given(case=cases(), payload=st.binary(max_size=12), fell_back=st.booleans())
def test_bytes_are_refused_or_are_how_what_they_say_is_written(
    spec: str, case: Case, payload: bytes, fell_back: bool
) -> None:
    codec = case.codec(spec)
    try:
        latent = codec.decode(payload, None, fell_back)
    except MessageError:
        return
    assert codec.encode(latent) == (payload, fell_back)


def test_bits_are_those_of_the_number_and_of_the_ids_that_are_said() -> None:
    packed = MessageFormat(categoricals=16, classes=9, prefix=True).codec
    latent = np.full(16, 8, dtype=np.int32)
    assert [packed.size_bits(latent), packed.encode(latent).payload] == [5, bytes(1)]
    latent[:2] = 7, 1
    assert packed.size_bits(latent) == 5 + 2 * 3
    assert packed.encode(latent).payload == bytes([0b00010111, 0b00100000])


FOUR = MessageFormat(categoricals=4, classes=6, prefix=True)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "0 bytes, expected 1 to 2"),
        (bytes(3), "3 bytes, expected 1 to 2"),
        (bytes([0b10100000, 0]), "said to hold 5 ids, there are 4"),
        (bytes([0b11100000, 0]), "said to hold 7 ids"),
        (bytes([0b01000000]), "1 bytes, 2 ids take 2"),
        (bytes([0b00100000, 0]), "2 bytes, 1 ids take 1"),
        (bytes([0b00110100]), "latent id 5 outside 0..4"),
        (bytes([0b00000001]), "non-zero padding"),
    ],
)
def test_a_payload_that_nobody_would_have_written_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        FOUR.codec.unpack(payload)


@pytest.mark.parametrize(
    ("latent", "said"),
    [([0, 5, 1, 5], "after one that it does not say"), ([0, 0, 0, 6], "outside 0..5"), ([0, 0], "shape")],
)
def test_what_is_no_such_message_is_not_written(latent: list[int], said: str) -> None:
    with pytest.raises(MessageError, match=said):
        FOUR.codec.pack(np.array(latent, dtype=np.int32))


def test_the_number_of_ids_is_coded_by_how_often_it_was_said() -> None:
    # Of 100 messages 90 said nothing and 10 one id.
    counts = np.array([[10, 0, 0, 0, 0, 90], *[[0, 0, 0, 0, 0, 100]] * 3])
    codec = codecs.make("entropy", FOUR, LatentTables(counts))
    assert codec.size_bits(np.array([5, 5, 5, 5], dtype=np.int32)) == 1
    assert codec.size_bits(np.array([0, 5, 5, 5], dtype=np.int32)) == 2 + 1


@pytest.mark.parametrize("spec", ["repeats", "most-informative:2"])
def test_codecs_of_whole_latents_are_refused(spec: str) -> None:
    with pytest.raises(SettingsError, match="only their first ids"):
        codecs.make(spec, FOUR, LatentTables(np.ones((4, 6), dtype=np.int64)))
