"""Most informative: only the categoricals of highest entropy are sent; the reader fills in the rest.  Lossy.

Axis legend: K categoricals, C classes, M of them sent.
"""

from __future__ import annotations

import numpy as np

from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.codec import Encoded, Ids
from heliograph.codecs.tables import LatentTables
from heliograph.errors import MessageError


class MostInformative:
    """A `Codec`: the ids of `kept` categoricals, bit-packed in their order; for each other one the reader takes the
    class that the tables saw most often."""

    needs_previous = False

    def __init__(self, packed: BitPacked, tables: LatentTables, kept: int) -> None:
        self.spec = f"most-informative:{kept}"
        self.lossless = kept == packed.categoricals
        self.tables_sha256 = tables.sha256
        self._whole = packed
        self._part = BitPacked(categoricals=kept, classes=packed.classes)
        # Rounded, so that the last digit of a logarithm does not choose between equal ones.
        ranking = np.argsort(-np.round(tables.entropy_bits, 9), kind="stable")
        self._sent = np.sort(ranking[:kept])
        self._assumed = tables.most_frequent

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        return self._part.payload_bits

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        self._whole.checked(latent)
        return Encoded(self._part.pack(latent[self._sent]))

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            raise MessageError(f"latent is said to be bit-packed, which {self.spec} never does")
        latent = self._assumed.copy()
        latent[self._sent] = self._part.unpack(payload)
        return latent
