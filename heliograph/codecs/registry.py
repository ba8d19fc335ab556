"""The codecs by name.  A test compares the names with the protocol's enum `LatentCodec`."""

from __future__ import annotations

from heliograph.codecs.codec import Codec
from heliograph.codecs.message_format import MessageFormat
from heliograph.codecs.most_informative import MostInformative
from heliograph.codecs.repeats import Repeats
from heliograph.codecs.tables import LatentTables
from heliograph.errors import SettingsError

BIT_PACKED, ENTROPY, MOST_INFORMATIVE, REPEATS = NAMES = ("bit-packed", "entropy", "most-informative", "repeats")


def names() -> tuple[str, ...]:
    """Of all codecs, in the order of the protocol's enum."""
    return NAMES


def make(spec: str, message: MessageFormat, tables: LatentTables | None) -> Codec:
    """The codec of a spec: a name, and for most-informative how many ids are sent ("most-informative:8").

    Raises SettingsError if there is no such codec, or if it needs tables and the bundles have none.
    """
    name, colon, number = spec.partition(":")
    if name not in NAMES:
        from heliograph.settings import did_you_mean

        raise SettingsError(
            f"unknown codec {spec!r}", remedy=f"{did_you_mean(name, NAMES)}Known are {', '.join(NAMES)}"
        )
    kept = 0
    if name == MOST_INFORMATIVE:
        if not number.isdecimal() or not 1 <= int(number) <= message.categoricals:
            raise SettingsError(
                f"codec {spec!r} does not say how many of the {message.categoricals} ids to send",
                remedy=f"Write {MOST_INFORMATIVE}:M with M from 1 to {message.categoricals}",
            )
        kept = int(number)
    elif colon:
        raise SettingsError(f"codec {name} takes no number, but was given as {spec!r}")
    if name == BIT_PACKED:
        return message.codec
    if message.prefix and name != ENTROPY:
        raise SettingsError(
            f"codec {name} writes latents whole, and these agents say only their first ids",
            remedy=f"Give {BIT_PACKED} or {ENTROPY}",
        )
    if name == REPEATS:
        return Repeats(message.codec)
    if tables is None:
        raise SettingsError(
            f"codec {name} goes by tables of what the team says, and these bundles hold none",
            remedy="Export the run again: `heliograph export RUN`",
        )
    if name == MOST_INFORMATIVE:
        return MostInformative(message.codec, tables, kept)
    # Here, so that whoever does not use it does not load its coder.
    from heliograph.codecs.entropy import Entropy
    from heliograph.codecs.prefix import PrefixPacked
    from heliograph.codecs.prefix_entropy import PrefixEntropy

    if isinstance(packed := message.codec, PrefixPacked):
        return PrefixEntropy(packed, tables)
    return Entropy(packed, tables)
