"""How large a team's latents are.  Part of a bundle's manifest and of a recording's header."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from heliograph.checks import check_integer
from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.prefix import PrefixPacked


@dataclass(frozen=True, kw_only=True)
class MessageFormat:
    """A latent of `categoricals` class ids, each in 0..classes-1."""

    categoricals: int
    classes: int
    prefix: bool = False
    """The last class stands for an id that is not said, after which none is (`codecs.prefix`)."""

    def __post_init__(self) -> None:
        check_integer("message.categoricals", self.categoricals, 1, 4096)
        if type(self.prefix) is not bool:
            raise ValueError(f"message.prefix is {self.prefix!r}, expected true or false")
        check_integer("message.classes", self.classes, 3 if self.prefix else 2, 2**16)

    def to_json(self) -> dict[str, int]:
        """As it is written in manifests and recordings, `prefix` only where it is so."""
        return {name: value for name, value in asdict(self).items() if name != "prefix" or value}

    @property
    def codec(self) -> BitPacked:
        """The codec that needs to know nothing else."""
        if self.prefix:
            return PrefixPacked(categoricals=self.categoricals, classes=self.classes)
        return BitPacked(categoricals=self.categoricals, classes=self.classes)
