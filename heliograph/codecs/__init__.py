"""How latents are written for the wire, one codec per file.  May be imported by every house; needs numpy alone."""

from heliograph.codecs.codec import Codec, Encoded
from heliograph.codecs.registry import BIT_PACKED, make, names
from heliograph.codecs.tables import LatentTables

__all__ = ["BIT_PACKED", "Codec", "Encoded", "LatentTables", "make", "names"]
