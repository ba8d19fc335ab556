"""Messages that say only their first ids, entropy-coded: the number of ids and then each of them is a Huffman word.

How often so many ids are said follows from the tables: a row's share of the last class tells how often there were no
more than the rows before.  Lossless.

Axis legend: K categoricals, C classes, the last of which stands for an id that is not said.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codecs import huffman
from heliograph.codecs.codec import Encoded, Ids
from heliograph.codecs.prefix import PrefixPacked
from heliograph.codecs.tables import LatentTables
from heliograph.errors import MessageError


class PrefixEntropy:
    """A `Codec`; a latent whose code would be longer is written bit-packed instead."""

    spec = "entropy"
    lossless = True
    needs_previous = False

    def __init__(self, packed: PrefixPacked, tables: LatentTables) -> None:
        self.tables_sha256 = tables.sha256
        self._packed = packed
        self._counts = huffman.HuffmanCode(_count_weights(tables))
        self._codes = [huffman.HuffmanCode(weights) for weights in tables.weights[:, :-1]]

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        said = self._packed.said(latent)
        return min(self._coded_bits(said), self._packed.size_bits(latent))

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        said = self._packed.said(latent)
        if self._coded_bits(said) > self._packed.size_bits(latent):
            return Encoded(self._packed.pack(latent), fell_back=True)
        return Encoded(huffman.write([self._counts, *self._codes[: len(said)]], [len(said), *said]))

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            latent = self._packed.unpack(payload)
        elif len(payload) > self._packed.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, more than if it were bit-packed")
        else:
            (count,) = huffman.read([self._counts], payload)
            latent = self._packed.whole(huffman.read([self._counts, *self._codes[:count]], payload)[1:])
        if self.encode(latent) != Encoded(payload, fell_back):
            raise MessageError(f"latent payload of {len(payload)} bytes is not how its ids are written")
        return latent

    def _coded_bits(self, said: list[int]) -> int:
        words = zip(self._codes, said, strict=False)
        return self._counts.lengths[len(said)] + sum(code.lengths[class_id] for code, class_id in words)


def _count_weights(tables: LatentTables) -> npt.NDArray[np.float64]:
    """float64 [K + 1]: of each number of ids, smoothed as the classes are; in whole numbers."""
    unsaid = tables.counts[:, -1]
    whole = tables.counts.sum(1).max()
    at_most = np.append(unsaid, whole)  # [n]: how often no more than n ids were said
    # Of tables that nobody could have counted, no number of ids comes less than never.
    found = np.maximum(np.diff(np.maximum.accumulate(at_most), prepend=0), 0)
    return (2 * found + 1).astype(np.float64)
