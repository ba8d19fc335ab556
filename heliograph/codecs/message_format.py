"""How large a team's latents are.  Part of a bundle's manifest and of a recording's header."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.checks import check_integer
from heliograph.codecs.bit_packed import BitPacked


@dataclass(frozen=True, kw_only=True)
class MessageFormat:
    """A latent of `categoricals` class ids, each in 0..classes-1."""

    categoricals: int
    classes: int

    def __post_init__(self) -> None:
        check_integer("message.categoricals", self.categoricals, 1, 4096)
        check_integer("message.classes", self.classes, 2, 2**16)

    @property
    def codec(self) -> BitPacked:
        """The codec that needs to know nothing else."""
        return BitPacked(categoricals=self.categoricals, classes=self.classes)
