"""What a codec is.  Imported by the codecs and by whoever takes any of them.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
"""int32 [K], the classes of a latent: 0 <= id < C."""


class Encoded(NamedTuple):
    """A latent as bytes; the last byte is padded with zero bits."""

    payload: bytes
    fell_back: bool = False
    """Written bit-packed, because the codec would have made it longer; the message must say so."""


class Codec(Protocol):
    """Writes int32 ids [K], 0 <= id < C, as bytes, and reads them back.

    `previous` is the sender's latent of the step before, int32 [K], if the receiver has got it on the same stream, and
    None otherwise; codecs that do not need it ignore it.  Every latent has exactly one encoding.
    """

    @property
    def spec(self) -> str:
        """What `heliograph.codecs.make` makes it from."""
        ...

    @property
    def lossless(self) -> bool:
        """Every latent is read back as it was."""
        ...

    @property
    def needs_previous(self) -> bool:
        """`previous` makes a difference."""
        ...

    @property
    def tables_sha256(self) -> str:
        """Of the tables that it goes by, empty if it needs none.  Both ends must have this and `spec` in common."""
        ...

    def size_bits(self, latent: Ids, previous: Ids | None = None) -> int:
        """Exact size of `encode`'s payload without its padding, known without encoding."""
        ...

    def encode(self, latent: Ids, previous: Ids | None = None) -> Encoded:
        """Raises MessageError if the shape or an id is out of range."""
        ...

    def decode(self, payload: bytes, previous: Ids | None = None, fell_back: bool = False) -> Ids:
        """Ids int32 [K].  Raises MessageError for anything but the one encoding of a latent."""
        ...
