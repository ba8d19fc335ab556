"""Entropy-coded: a Huffman code per categorical, by the tables of what the team says.  Lossless.

The coder is that of `constriction`.  Its range and ANS coders come closer to the entropy of long streams, but spend
most of a 32-bit word on the ends of each message, more than Huffman's fractions of a bit (`docs/protocol.md` has
figures); and the size of a Huffman-coded message is a sum of code lengths, known without encoding.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

from typing import Any

import constriction
import numpy as np

from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.codec import Encoded, Ids
from heliograph.codecs.tables import LatentTables
from heliograph.errors import MessageError


class Entropy:
    """A `Codec`; a latent whose code would be longer is written bit-packed instead."""

    spec = "entropy"
    lossless = True
    needs_previous = False

    def __init__(self, packed: BitPacked, tables: LatentTables) -> None:
        huffman = constriction.symbol.huffman
        self.tables_sha256 = tables.sha256
        self._packed = packed
        self._writers = [huffman.EncoderHuffmanTree(weights) for weights in tables.weights]
        self._readers = [huffman.DecoderHuffmanTree(weights) for weights in tables.weights]
        self._lengths = [_code_lengths(writer, packed.classes) for writer in self._writers]
        longest_bits = sum(max(lengths) for lengths in self._lengths)
        self._zeros = bytes(-(-longest_bits // 32) * 4)

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        bits = self._coded_bits(self._packed.checked(latent))
        return self._packed.payload_bits if self._is_longer(bits) else bits

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        ids = self._packed.checked(latent)
        bits = self._coded_bits(ids)
        if self._is_longer(bits):
            return Encoded(self._packed.pack(latent), fell_back=True)
        coder = constriction.symbol.QueueEncoder()
        for class_id, writer in zip(ids, self._writers, strict=True):
            coder.encode_symbol(class_id, writer)
        words, _ = coder.get_compressed()
        return Encoded(words.astype("<u4").tobytes()[: -(-bits // 8)])

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            latent = self._packed.unpack(payload)
            if not self._is_longer(self._coded_bits(latent.tolist())):
                raise MessageError("latent is bit-packed, although its entropy code is no longer")
            return latent
        if len(payload) > self._packed.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, more than if it were bit-packed")
        # With zeros to the length of the longest code, any bytes decode to something.
        words = np.frombuffer((payload + self._zeros)[: len(self._zeros)], dtype="<u4").astype(np.uint32)
        coder = constriction.symbol.QueueDecoder(words)
        latent = np.array([coder.decode_symbol(reader) for reader in self._readers], dtype=np.int32)
        if self.encode(latent) != Encoded(payload):
            raise MessageError(f"latent payload of {len(payload)} bytes is no entropy code")
        return latent

    def _coded_bits(self, ids: list[int]) -> int:
        return sum([lengths[class_id] for lengths, class_id in zip(self._lengths, ids, strict=True)])

    def _is_longer(self, coded_bits: int) -> bool:
        return coded_bits > self._packed.payload_bits


def _code_lengths(writer: Any, classes: int) -> list[int]:
    """Bits of the code word of every class."""
    lengths = []
    for class_id in range(classes):
        coder = constriction.symbol.QueueEncoder()
        coder.encode_symbol(class_id, writer)
        lengths.append(coder.get_compressed()[1])
    return lengths
