"""Entropy-coded: a Huffman code per categorical, by the tables of what the team says.  Lossless.

Range and ANS coders come closer to the entropy of long streams, but spend most of a 32-bit word on the ends of each
message, more than Huffman's fractions of a bit (`docs/protocol.md` has figures); and the size of what is Huffman-coded
is a sum of code lengths, known without encoding.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

import numpy as np

from heliograph.codecs import huffman
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
        self.tables_sha256 = tables.sha256
        self._packed = packed
        self._codes = [huffman.HuffmanCode(weights) for weights in tables.weights]

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        bits = self._coded_bits(self._packed.checked(latent))
        return self._packed.payload_bits if self._is_longer(bits) else bits

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        ids = self._packed.checked(latent)
        bits = self._coded_bits(ids)
        if self._is_longer(bits):
            return Encoded(self._packed.pack(latent), fell_back=True)
        return Encoded(huffman.write(self._codes, ids))

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            latent = self._packed.unpack(payload)
            if not self._is_longer(self._coded_bits(latent.tolist())):
                raise MessageError("latent is bit-packed, although its entropy code is no longer")
            return latent
        if len(payload) > self._packed.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, more than if it were bit-packed")
        latent = np.array(huffman.read(self._codes, payload), dtype=np.int32)
        if self.encode(latent) != Encoded(payload):
            raise MessageError(f"latent payload of {len(payload)} bytes is no entropy code")
        return latent

    def _coded_bits(self, ids: list[int]) -> int:
        return sum([code.lengths[class_id] for code, class_id in zip(self._codes, ids, strict=True)])

    def _is_longer(self, coded_bits: int) -> bool:
        return coded_bits > self._packed.payload_bits
