"""Messages that say only their first ids: how many, and then those.  Lossless.

A sender whose precision is learned chooses at every step how many of its categoricals it says; the last class of each
stands for one that is not said, so that a latent is int32 ids [K] as ever, and none is said after one that is not.

Bit-packed, a message is the number of its ids in ceil(log2(K + 1)) bits and the ids in ceil(log2(C - 1)) each, most
significant bit first; `prefix_entropy.py` writes the same by tables.

Axis legend: K categoricals, C classes, the last of which stands for an id that is not said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.codec import Ids
from heliograph.errors import MessageError


def sent_ids(ids: Sequence[int], *, unsaid: int) -> list[int] | None:
    """Those that are said; None if one is said after one that is not."""
    count = ids.index(unsaid) if unsaid in ids else len(ids)
    return list(ids[:count]) if all(class_id == unsaid for class_id in ids[count:]) else None


@dataclass(frozen=True, kw_only=True)
class PrefixPacked(BitPacked):
    """`BitPacked` of the ids that are said; `payload_bits` and `payload_bytes` are those of the longest message."""

    spec: ClassVar[str] = "bit-packed"

    @cached_property
    def count_bits(self) -> int:
        return self.categoricals.bit_length()

    @cached_property
    def bits_per_id(self) -> int:
        return (self.classes - 2).bit_length()

    @cached_property
    def payload_bits(self) -> int:
        return self.count_bits + self.categoricals * self.bits_per_id

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        return self.count_bits + len(self.said(latent)) * self.bits_per_id

    def said(self, latent: npt.NDArray[np.integer[Any]]) -> list[int]:
        """The ids that are said.  Raises MessageError as `checked` does, and if one follows one that is not."""
        said = sent_ids(self.checked(latent), unsaid=self.classes - 1)
        if said is None:
            raise MessageError("latent says an id after one that it does not say")
        return said

    def whole(self, said: Sequence[int]) -> Ids:
        """The latent int32 [K] that says these."""
        latent = np.full(self.categoricals, self.classes - 1, dtype=np.int32)
        latent[: len(said)] = said
        return latent

    def pack(self, latent: npt.NDArray[np.integer[Any]]) -> bytes:
        said = self.said(latent)
        packed = len(said)
        for class_id in said:
            packed = packed << self.bits_per_id | class_id
        bits = self.count_bits + len(said) * self.bits_per_id
        return (packed << -bits % 8).to_bytes(-(-bits // 8), "big")

    def unpack(self, payload: bytes) -> Ids:
        """Raises MessageError for a count that is too large or not that of the ids, a class out of range and dirty
        padding."""
        held = 8 * len(payload)
        if not self.count_bits <= held <= 8 * self.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, expected 1 to {self.payload_bytes}")
        packed = int.from_bytes(payload, "big")
        count = packed >> held - self.count_bits
        if count > self.categoricals:
            raise MessageError(f"latent is said to hold {count} ids, there are {self.categoricals}")
        bits = self.count_bits + count * self.bits_per_id
        if len(payload) != -(-bits // 8):
            raise MessageError(f"latent payload has {len(payload)} bytes, {count} ids take {-(-bits // 8)}")
        if packed & ((1 << held - bits) - 1):
            raise MessageError("latent payload has non-zero padding bits")
        packed >>= held - bits
        mask = (1 << self.bits_per_id) - 1
        said = [packed >> (count - 1 - place) * self.bits_per_id & mask for place in range(count)]
        if said and max(said) >= self.classes - 1:
            raise MessageError(f"latent id {max(said)} outside 0..{self.classes - 2}")
        return self.whole(said)
