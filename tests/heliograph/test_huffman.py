"""The Huffman codes are those of the package constriction, whose bytes running teams and recordings have."""

from __future__ import annotations

import constriction
import numpy as np
import pytest

from heliograph import codecs
from heliograph.codecs import LatentTables, huffman
from heliograph.codecs.message_format import MessageFormat

CATEGORICALS, LATENTS = 32, 10_000


def reference(weights: np.ndarray, latents: np.ndarray) -> list[bytes]:
    """What constriction writes for latents [.., K] by weights [K, C]."""
    trees = [constriction.symbol.huffman.EncoderHuffmanTree(row) for row in weights]
    written = []
    for latent in latents.tolist():
        coder = constriction.symbol.QueueEncoder()
        for class_id, tree in zip(latent, trees, strict=True):
            coder.encode_symbol(class_id, tree)
        words, bits = coder.get_compressed()
        written.append(words.astype("<u4").tobytes()[: -(-bits // 8)])
    return written


@pytest.mark.parametrize("classes", [2, 32, 33, 200])
@pytest.mark.parametrize("kind", ["flat", "ties", "random", "steep"])
def test_words_are_those_of_constriction_and_come_back(classes: int, kind: str) -> None:
    random = np.random.default_rng(classes)
    counts = {
        "flat": np.zeros((CATEGORICALS, classes), dtype=np.int64),
        "ties": random.integers(3, size=(CATEGORICALS, classes)),
        "random": random.integers(2**32, size=(CATEGORICALS, classes)),
        "steep": np.tile(np.minimum(1.7 ** np.arange(classes), 2.0**32).astype(np.int64), (CATEGORICALS, 1)),
    }[kind]
    weights = LatentTables(counts).weights
    codes = [huffman.HuffmanCode(row) for row in weights]
    latents = random.integers(classes, size=(LATENTS // 16, CATEGORICALS))
    assert [huffman.write(codes, latent) for latent in latents.tolist()] == reference(weights, latents)
    for latent in latents.tolist():
        assert huffman.read(codes, huffman.write(codes, latent)) == latent


def test_the_codec_writes_ten_thousand_latents_as_constriction_did() -> None:
    """Latents as the tables expect them, so that few fall back to their packed bits."""
    random = np.random.default_rng(0)
    tables = LatentTables(random.integers(40, size=(CATEGORICALS, 32)) ** 3)
    codec = codecs.make("entropy", MessageFormat(categoricals=CATEGORICALS, classes=32), tables)
    shares = tables.weights / tables.weights.sum(axis=1, keepdims=True)
    latents = np.stack([random.choice(32, p=row, size=LATENTS) for row in shares], axis=1).astype(np.int32)
    fell_back = 0
    for latent, expected in zip(latents, reference(tables.weights, latents), strict=True):
        encoded = codec.encode(latent)
        fell_back += encoded.fell_back
        assert encoded.fell_back or encoded.payload == expected
        assert codec.decode(encoded.payload, None, encoded.fell_back).tolist() == latent.tolist()
    assert fell_back < LATENTS / 20
