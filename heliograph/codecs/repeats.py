"""Repeats: an id that is as in the sender's message of the step before costs one bit.  Lossless.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.codec import Encoded, Ids
from heliograph.errors import MessageError


class Repeats:
    """A `Codec`: one bit per id, set where it changed, then the changed ids in order, most significant bit first.

    Written bit-packed instead if that is shorter, or if the receiver has not got the message before.
    """

    spec = "repeats"
    lossless = True
    needs_previous = True
    tables_sha256 = ""

    def __init__(self, packed: BitPacked) -> None:
        self._packed = packed

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        self._packed.checked(latent)
        if previous is None:
            return self._packed.payload_bits
        bits = self._changed_bits(int(np.count_nonzero(latent != previous)))
        return self._packed.payload_bits if self._is_longer(bits) else bits

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        ids = self._packed.checked(latent)
        if previous is not None:
            changed = [class_id for class_id, before in zip(ids, previous.tolist(), strict=True) if class_id != before]
            bits = self._changed_bits(len(changed))
            if not self._is_longer(bits):
                return Encoded(self._write(latent != previous, changed, bits))
        return Encoded(self._packed.pack(latent), fell_back=True)

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        if fell_back:
            latent = self._packed.unpack(payload)
        elif previous is None:
            raise MessageError("latent says what changed, but the message before it never came")
        elif len(payload) > self._packed.payload_bytes:
            raise MessageError(f"latent payload has {len(payload)} bytes, more than if it were bit-packed")
        else:
            latent = self._read(payload, previous)
        if self.encode(latent, previous) != Encoded(payload, fell_back):
            raise MessageError(f"latent payload of {len(payload)} bytes is not how its changes are written")
        return latent

    def _changed_bits(self, changed: int) -> int:
        return self._packed.categoricals + changed * self._packed.bits_per_id

    def _is_longer(self, bits: int) -> bool:
        return bits > self._packed.payload_bits

    def _write(self, differs: npt.NDArray[np.bool_], changed: list[int], bits: int) -> bytes:
        packed = int.from_bytes(np.packbits(differs).tobytes(), "big") >> -self._packed.categoricals % 8
        for class_id in changed:
            packed = packed << self._packed.bits_per_id | class_id
        return (packed << -bits % 8).to_bytes(-(-bits // 8), "big")

    def _read(self, payload: bytes, previous: Ids) -> Ids:
        bits = np.unpackbits(np.frombuffer(payload, dtype=np.uint8))
        categoricals, width = self._packed.categoricals, self._packed.bits_per_id
        differs = bits[:categoricals].astype(np.bool_)
        ids = bits[categoricals : categoricals + int(differs.sum()) * width]
        if len(differs) < categoricals or len(ids) % width or len(ids) // width != int(differs.sum()):
            raise MessageError(f"latent payload of {len(payload)} bytes ends before its changes do")
        latent = previous.astype(np.int32)
        latent[differs] = ids.reshape(-1, width) @ (1 << np.arange(width, dtype=np.int32)[::-1])
        return latent
