"""Bit-packed: K class ids of ceil(log2 C) bits each, without gaps.  What the other codecs fall back to.

32 categoricals of 32 classes take exactly 160 bits = 20 bytes.  Ids are packed in order, most significant
bit first; the last byte is padded with zero bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codecs.codec import Encoded, Ids
from heliograph.errors import MessageError


@dataclass(frozen=True, kw_only=True)
class BitPacked:
    """A `Codec`, and ids [K] as `payload_bytes` bytes without one: `pack` and `unpack`."""

    categoricals: int
    classes: int
    spec: ClassVar[str] = "bit-packed"
    lossless: ClassVar[bool] = True
    needs_previous: ClassVar[bool] = False
    tables_sha256: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.categoricals < 1 or not 2 <= self.classes <= 2**16:
            raise ValueError(
                f"a latent needs at least 1 categorical and 2..65536 classes, not {self.categoricals} x {self.classes}"
            )

    # Cached, since they are read several times for every message.
    @cached_property
    def bits_per_id(self) -> int:
        return (self.classes - 1).bit_length()

    @cached_property
    def payload_bits(self) -> int:
        return self.categoricals * self.bits_per_id

    @cached_property
    def payload_bytes(self) -> int:
        return -(-self.payload_bits // 8)

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        return self.payload_bits

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        return Encoded(self.pack(latent))

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            raise MessageError("latent is said to have fallen back to bit-packed, which is all that is written here")
        return self.unpack(payload)

    def checked(self, latent: npt.NDArray[np.integer[Any]]) -> list[int]:
        """The ids as a list.  Raises MessageError if the shape or an id is out of range."""
        ids = np.asarray(latent)
        if ids.shape != (self.categoricals,):
            raise MessageError(f"latent has shape {ids.shape}, expected ({self.categoricals},)")
        values: list[int] = ids.tolist()
        if not self._known.issuperset(values):  # twice as quick as a minimum and a maximum
            raise MessageError(f"latent id outside 0..{self.classes - 1}: {min(values)}..{max(values)}")
        return values

    def pack(self, latent: npt.NDArray[np.integer[Any]]) -> bytes:
        """Pack ids [K].  Raises MessageError if the shape or an id is out of range."""
        values = self.checked(latent)
        lanes = bytes(values) if self._lane.itemsize == 1 else np.array(values, dtype=self._lane).tobytes()
        packed = int.from_bytes(lanes, "big")
        for moved, kept, distance in reversed(self._moves):
            packed = packed >> distance & moved | packed & kept
        return (packed << self._padding).to_bytes(self.payload_bytes, "big")

    def unpack(self, payload: bytes) -> Ids:
        """Unpack to int32 ids [K].  Raises MessageError for a wrong length, a class out of range or dirty padding."""
        if len(payload) != self.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, expected {self.payload_bytes}")
        packed, padding = int.from_bytes(payload, "big"), self._padding
        if padding:
            if packed & ((1 << padding) - 1):
                raise MessageError("latent payload has non-zero padding bits")
            packed >>= padding
        for moved, kept, distance in self._moves:
            packed = (packed & moved) << distance | packed & kept
        ids = np.frombuffer(packed.to_bytes(self._lanes_bytes, "big"), self._lane).astype(np.int32)
        if self._has_unused and int(ids.max()) >= self.classes:
            raise MessageError(f"latent id {int(ids.max())} outside 0..{self.classes - 1}")
        return ids

    @cached_property
    def _padding(self) -> int:
        return self.payload_bytes * 8 - self.payload_bits

    @cached_property
    def _has_unused(self) -> bool:
        """Whether more ids can be written than there are."""
        return self.classes != 1 << self.bits_per_id

    @cached_property
    def _lanes_bytes(self) -> int:
        return self.categoricals * self._lane.itemsize

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(range(self.classes))

    @cached_property
    def _lane(self) -> np.dtype[Any]:
        """The type that an id has room in, most significant byte first."""
        return np.dtype(">u1" if self.bits_per_id <= 8 else ">u2")

    @cached_property
    def _moves(self) -> tuple[tuple[int, int, int], ...]:
        """How packed ids, as one big integer, spread to one lane each in ceil(log2 K) moves: per move the bits that
        move, those that stay, and by how much.  A loop over the ids takes twice as long.

        Counted from the last, id j has to move by j times the excess of a lane: by 2^b times it for each bit b of j.
        """
        width = self.bits_per_id
        excess = 8 * self._lane.itemsize - width
        moves = []
        for bit in reversed(range((self.categoricals - 1).bit_length())):
            halves = [0, 0]
            for j in range(self.categoricals):
                place = j * width + (j >> bit + 1 << bit + 1) * excess
                halves[j >> bit & 1] |= (1 << width) - 1 << place
            moves.append((halves[1], halves[0], excess << bit))
        return tuple(moves) if excess else ()
