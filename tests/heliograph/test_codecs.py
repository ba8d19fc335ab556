"""Every codec: what it declares is what it writes, what it writes comes back, and foreign bytes are refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import codecs
from heliograph.codecs import Codec, Encoded, LatentTables
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import MessageError, SettingsError
from heliograph.pb import latent_pb2

BYTES = st.binary(max_size=80)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A team's messages, what they are like, and two that follow one another."""

    message: MessageFormat
    tables: LatentTables
    latent: np.ndarray
    previous: np.ndarray | None

    def codec(self, name: str) -> Codec:
        spec = f"{name}:{1 + self.message.classes % self.message.categoricals}" if name == "most-informative" else name
        return codecs.make(spec, self.message, self.tables)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Of any shape; tables from flat to one class alone; latents that the tables expect or not, and that repeat or not.

    Hypothesis chooses what matters, a generator that it seeds fills the arrays.
    """
    categoricals = draw(st.integers(1, 64))
    classes = draw(st.sampled_from([2, 3, 32, 33, 1024]) | st.integers(2, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = random.integers(draw(st.sampled_from([1, 2, 2**32])), size=(categoricals, classes))
    counts[:, draw(st.integers(1, classes)) :] = 0
    tables = LatentTables(counts)
    shape = MessageFormat(categoricals=categoricals, classes=classes)
    expected = draw(st.booleans())
    latent = tables.most_frequent if expected else random.integers(classes, size=categoricals, dtype=np.int32)
    previous = None
    if draw(st.booleans()):
        same = random.random(categoricals) < draw(st.floats(0, 1))
        previous = np.where(same, latent, random.integers(classes, size=categoricals)).astype(np.int32)
    return Case(message=shape, tables=tables, latent=latent, previous=previous)


def test_there_is_a_codec_for_each_value_of_the_protocol() -> None:
    _, *known = latent_pb2.LatentCodec.DESCRIPTOR.values_by_name
    assert [f"LATENT_CODEC_{name.upper().replace('-', '_')}" for name in codecs.names()] == known


@pytest.mark.slow
@pytest.mark.arrays
@pytest.mark.parametrize("name", codecs.names())
@given(case=cases())
def test_a_latent_comes_back_and_takes_exactly_what_was_declared(name: str, case: Case) -> None:
    codec = case.codec(name)
    assert codec.spec.partition(":")[0] == name
    payload, fell_back = codec.encode(case.latent, case.previous)
    size_bits = codec.size_bits(case.latent, case.previous)
    assert len(payload) == -(-size_bits // 8)
    assert size_bits <= case.message.codec.payload_bits
    decoded = codec.decode(payload, case.previous, fell_back)
    assert decoded.dtype == np.int32
    if codec.lossless:
        assert decoded.tolist() == case.latent.tolist()
    else:
        known = decoded == case.latent
        assert (known | (decoded == case.tables.most_frequent)).all()
        assert codec.encode(decoded, case.previous) == Encoded(payload, fell_back)


@pytest.mark.slow
@pytest.mark.arrays
@pytest.mark.parametrize("name", codecs.names())
@given(case=cases(), foreign=BYTES, fell_back=st.booleans(), data=st.data())
def test_foreign_bytes_are_refused_or_are_the_one_encoding(
    name: str, case: Case, foreign: bytes, fell_back: bool, data: st.DataObject
) -> None:
    codec = case.codec(name)
    payload, said = codec.encode(case.latent, case.previous)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    turned = bytes(byte ^ (0x80 >> bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(payload))
    for received, flag in [(foreign, fell_back), (payload, not said), (turned, said), (payload + b"\0", said)]:
        try:
            latent = codec.decode(received, case.previous, flag)
        except MessageError:
            continue
        assert ((latent >= 0) & (latent < case.message.classes)).all()
        assert codec.encode(latent, case.previous) == Encoded(received, flag)


@pytest.mark.parametrize("name", codecs.names())
@pytest.mark.parametrize(
    ("ids", "complaint"),
    [([0, 1], "shape"), ([[0, 1, 2, 0]], "shape"), ([0, 1, 2, 5], "outside 0..4"), ([0, -1, 2, 0], "outside 0..4")],
)
def test_latents_that_do_not_fit_are_refused(name: str, ids: list[int], complaint: str) -> None:
    shape = MessageFormat(categoricals=4, classes=5)
    spec = "most-informative:2" if name == "most-informative" else name
    codec = codecs.make(spec, shape, LatentTables(np.ones((4, 5), dtype=np.int64)))
    with pytest.raises(MessageError, match=complaint):
        codec.encode(np.array(ids, dtype=np.int32))


FOUR = MessageFormat(categoricals=4, classes=8)
TABLES = LatentTables(np.array([[90, 9, 1, 0, 0, 0, 0, 0], [1] * 8, [0] * 7 + [5], [4, 4, 4, 4, 0, 0, 0, 0]]))


def test_the_entropy_code_is_the_same_everywhere() -> None:
    """Golden bytes: another version of the coder, or another smoothing, would not understand running teams."""
    codec = codecs.make("entropy", FOUR, TABLES)
    assert codec.encode(np.array([0, 3, 7, 1], dtype=np.int32)) == GOLDEN
    assert codec.size_bits(np.array([0, 3, 7, 1], dtype=np.int32)) == 7


GOLDEN = Encoded(b"\x1d")


def test_what_is_expected_is_short_and_what_was_never_seen_can_be_said() -> None:
    codec = codecs.make("entropy", FOUR, TABLES)
    rare = np.array([7, 0, 0, 7], dtype=np.int32)
    assert codec.size_bits(rare) == 12
    assert codec.encode(rare) == Encoded(FOUR.codec.pack(rare), fell_back=True)
    assert codec.decode(*codec.encode(rare)[:1], None, True).tolist() == rare.tolist()


def test_the_most_informative_categoricals_are_those_of_highest_entropy() -> None:
    codec = codecs.make("most-informative:2", FOUR, TABLES)
    read = codec.decode(codec.encode(np.array([5, 6, 3, 2], dtype=np.int32)).payload)
    assert read.tolist() == [0, 6, 7, 2], "categoricals 1 and 3 are sent, 0 and 2 as the tables have them most often"
    assert not codec.lossless
    assert codecs.make("most-informative:4", FOUR, TABLES).lossless


def test_repeats_cost_a_bit_each_and_need_what_was_said_before() -> None:
    shape = MessageFormat(categoricals=32, classes=32)
    codec = codecs.make("repeats", shape, None)
    before = np.arange(32, dtype=np.int32)
    after = before.copy()
    after[[3, 30]] = 0, 31
    assert codec.size_bits(after, before) == 32 + 2 * 5
    assert codec.size_bits(before, before) == 32
    assert codec.size_bits(after) == codec.size_bits(before[::-1].copy(), before) == 160
    payload = codec.encode(after, before).payload
    assert payload[:4] == bytes([0b00010000, 0, 0, 0b00000010])
    with pytest.raises(MessageError, match="never came"):
        codec.decode(payload)


@pytest.mark.parametrize(
    ("spec", "tables", "complaint"),
    [
        ("entropie", TABLES, "unknown codec 'entropie'. Did you mean entropy"),
        ("", TABLES, "unknown codec ''. Known are bit-packed, entropy, most-informative, repeats"),
        ("entropy", None, "these bundles hold none. Export the run again"),
        ("most-informative:2", None, "these bundles hold none. Export the run again"),
        ("most-informative", TABLES, "how many of the 4 ids"),
        ("most-informative:0", TABLES, "how many of the 4 ids"),
        ("most-informative:5", TABLES, "M from 1 to 4"),
        ("most-informative:two", TABLES, "how many of the 4 ids"),
        ("repeats:3", None, "takes no number"),
    ],
)
def test_impossible_codecs_are_refused(spec: str, tables: LatentTables | None, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        codecs.make(spec, FOUR, tables)


@pytest.mark.parametrize(
    "counts",
    [np.ones(3, dtype=int), np.ones((0, 4), dtype=int), np.ones((2, 2)), -np.eye(2, dtype=int), [[2**33, 1]], [[True]]],
    ids=["flat", "empty", "floats", "negative", "huge", "booleans"],
)
def test_what_are_no_counts_is_refused(counts: object) -> None:
    with pytest.raises(ValueError, match="tables"):
        LatentTables(np.array(counts))


@given(case=cases())
def test_tables_come_back_from_their_bytes(case: Case) -> None:
    again = LatentTables.from_bytes(case.tables.to_bytes())
    assert again == case.tables
    assert again.sha256 == case.tables.sha256


@given(BYTES | st.sampled_from([b"[]", b'{"counts":[[1]]}', b'{"counts": [[1,2],[3]]}', b'{"counts": {"a": 1}}', b"{"]))
def test_bytes_that_are_no_tables_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the reason is JSON's, or one of several)
        LatentTables.from_bytes(data)
