"""What a codec is.  Imported by the codecs and by whoever takes any of them.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


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

    spec: str
    """What `heliograph.codecs.make` makes it from."""
    lossless: bool
    needs_previous: bool
    tables_sha256: str
    """Of the tables that it goes by, empty if it needs none.  Both ends must have this and `spec` in common."""

    def size_bits(self, latent: np.ndarray, previous: np.ndarray | None = None) -> int:
        """Exact size of `encode`'s payload without its padding, known without encoding."""
        ...

    def encode(self, latent: np.ndarray, previous: np.ndarray | None = None) -> Encoded:
        """Raises MessageError if the shape or an id is out of range."""
        ...

    def decode(self, payload: bytes, previous: np.ndarray | None = None, fell_back: bool = False) -> np.ndarray:
        """Ids int32 [K].  Raises MessageError for anything but the one encoding of a latent."""
        ...
