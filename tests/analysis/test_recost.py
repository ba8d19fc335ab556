"""Sizes worked out from a trace are those of the bytes that nodes would send."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_trace import made_trace
from relay_team import relay_plan

from analysis.bandwidth.recost import recost
from coordinator.channel import Channel
from coordinator.links.message_sizes import message_bytes
from coordinator.recording.reader import read_trace
from coordinator.running.local import evaluate
from heliograph import codecs
from heliograph.codecs import LatentTables
from heliograph.errors import SettingsError
from heliograph.pb import latent_pb2, peer_pb2

SPECS = ("bit-packed", "entropy", "most-informative:2", "most-informative:4", "repeats")
UINT32 = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))


@given(episode=UINT32, step=UINT32, payload=st.binary(max_size=300), action=UINT32, fell_back=st.booleans())
def test_the_closed_form_is_the_size_of_the_serialised_message(episode, step, payload, action, fell_back):
    message = peer_pb2.LatentMessage(episode=episode, step=step, latent=payload, action=action)
    if fell_back:
        message.codec = latent_pb2.LATENT_CODEC_BIT_PACKED
    size = message_bytes(episode=episode, step=step, payload_bytes=len(payload), action=action, fell_back=fell_back)
    assert size == message.ByteSize() == len(message.SerializeToString())


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A team on a graph that changes, so that some receivers have the message before and others have not."""
    plan = relay_plan(
        4,
        episodes=3,
        record=tmp_path_factory.mktemp("recost") / "trace.jsonl",
        conditions=("open", "cut"),
        hears="range",
        size=4,
        length=12,
    )
    evaluate(plan)
    return read_trace(plan.record)


@pytest.fixture(scope="module")
def tables():
    counts = np.ones((4, 8), dtype=np.int64)
    counts[[0, 2], 3] = 1000
    return LatentTables(counts)


def test_every_message_has_the_size_of_its_encoding(trace, tables):
    for spec, costed in zip(SPECS, recost(trace, SPECS, tables=tables), strict=True):
        codec = codecs.make(spec, trace.header.message, tables)
        assert costed.spec == spec
        assert costed.messages == sum(episode.sent().sum() for episode in trace.episodes)
        followers = fallbacks = 0
        for episode, sizes in zip(trace.episodes, costed.episodes, strict=True):
            sent = episode.sent()
            assert np.array_equal(sizes.sent, sent)
            assert not sizes.codec_bits[~sent].any()
            assert not sizes.ip_bytes[~sent].any()
            for t, i, j in np.argwhere(sent):
                before = episode.latent[t - 1, i] if t and sent[t - 1, i, j] else None
                followers += before is not None
                encoded = codec.encode(episode.latent[t, i], before)
                fallbacks += encoded.fell_back
                message = peer_pb2.LatentMessage(
                    episode=episode.episode, step=t, latent=encoded.payload, action=episode.action[t, i]
                )
                if encoded.fell_back:
                    message.codec = latent_pb2.LATENT_CODEC_BIT_PACKED
                assert sizes.protobuf_bytes[t, i, j] == message.ByteSize()
                assert math.ceil(sizes.codec_bits[t, i, j] / 8) == len(encoded.payload)
        assert followers > 20
        assert (fallbacks > 0) == (spec in ("entropy", "repeats"))


@pytest.mark.parametrize("codec", ["bit-packed", "repeats"])
def test_links_cost_what_their_nodes_count(tmp_path, codec):
    plan = relay_plan(4, episodes=3, hears="range", size=4, length=12)
    plan = replace(plan, codec=codec, record=tmp_path / "trace.jsonl", channel=Channel.parse("erasure=0.3"))
    links = evaluate(plan).links
    (costed,) = recost(read_trace(plan.record), [codec])
    for layer, counted in (("codec", lambda link: link.sent_bits), ("protobuf", lambda link: 8 * link.sent_bytes)):
        bits = costed.link_bits(layer)
        assert bits.any()
        assert {(link.sender, link.receiver): counted(link) for link in links} == {
            (i, j): bits[i, j] for i, j in np.ndindex(bits.shape) if i != j
        }


def test_layers_links_steps_and_rows_add_up(trace, tables):
    (costed,) = recost(trace, ["entropy"], tables=tables)
    found = costed.as_dict()
    layers = {entry["layer"]: entry for entry in found["layers"]}
    assert {entry["how"] for entry in found["layers"]} == {"computed"}
    assert layers["ip"]["bits_per_message"] - layers["http2"]["bits_per_message"] == pytest.approx(8 * 52)
    assert layers["http2"]["bits_per_message"] - layers["protobuf"]["bits_per_message"] == pytest.approx(8 * 40)
    rows = list(costed.rows())
    assert len(rows) == costed.messages
    for link in found["links"]:
        mine = [row for row in rows if (row["sender"], row["receiver"]) == (link["sender"], link["receiver"])]
        assert sum(row["codec_bits"] for row in mine) == link["codec_bits"]
        assert 8 * sum(row["ip_bytes"] for row in mine) == link["ip_bits"]
    episodes, agents = len(trace.episodes), trace.header.agents
    for step, bits in enumerate(found["steps"]["codec_bits_per_agent"]):
        assert bits * episodes * agents == pytest.approx(sum(r["codec_bits"] for r in rows if r["step"] == step))


def test_a_lossy_codec_leaves_only_what_it_sends():
    latents = np.random.default_rng(1).integers(8, size=(100, 4, 2, 4))
    counts = np.ones((4, 8), dtype=np.int64)
    counts[2:, 0] = 1000
    whole, half = recost(
        made_trace(latents, classes=8), ["bit-packed", "most-informative:2"], tables=LatentTables(counts)
    )
    assert whole.information.categorical_bits == pytest.approx([3, 3, 3, 3], abs=0.05)
    assert half.information.categorical_bits == pytest.approx([3, 3, 0, 0], abs=0.05)
    assert (whole.lossless, half.lossless) == (True, False)


def test_what_cannot_be_costed_is_told(trace, tables):
    with pytest.raises(SettingsError, match=r"unknown codec 'morse'.*bit-packed, entropy"):
        recost(trace, ["morse"])
    with pytest.raises(SettingsError, match="tables"):
        recost(trace, ["entropy"])
    with pytest.raises(SettingsError, match="the trace has"):
        recost(trace, ["entropy"], tables=LatentTables(np.ones((4, 9), dtype=int)))
    with pytest.raises(SettingsError, match="no messages"):
        recost(made_trace(np.zeros((1, 2, 2, 4), dtype=int), classes=8, message=None), ["bit-packed"])
