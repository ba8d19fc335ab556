"""What a sweep plays: faults of the channel, codecs and late policies, told as `--sweep AXIS=VALUES`.

Each fault is an axis of its own, with the other faults as the base channel has them: one curve per axis.  Codecs and
late policies cross: every curve is played with each of them.  `kept` is a curve too: so many of the most informative
categoricals are sent, and nothing is lost.  `links=permuted` is one point: the messages of another episode.  Beside
the curves every grid holds the points that they are read against: the base channel as it is, and every link cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from coordinator.channel import Channel
from coordinator.channel.parsing import fields_of
from coordinator.plan.settings import PERMUTED
from heliograph import codecs
from heliograph.codecs import Codec, LatentTables
from heliograph.codecs.message_format import MessageFormat
from heliograph.codecs.registry import BIT_PACKED, ENTROPY, MOST_INFORMATIVE
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.manifest import Manifest

CODEC, LATE, KEPT, LINKS = "codec", "late", "kept", "links"
CLEAR, BLIND = "clear", "blind"
"""The curves of one point each: the base channel, and every link cut."""
LATE_POLICIES = ("mask", "hold", "predict")
ERASURES = "0,0.1,…,1"
ELLIPSES = ("…", "...")
MOST_VALUES = 1000
"""Of one axis: more of them is a slip of the pen."""
EXAMPLE = "Write --sweep erasure=0,0.1,…,1 or --sweep codec=bit-packed,entropy"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a team is played in one place of the grid."""

    channel: str = ""
    """As `Channel.parse` reads it; empty: nothing is lost or delayed."""
    codec: str = BIT_PACKED
    late: str = "mask"
    links: str = "open"
    """Or `cut`: every message masked; or `permuted`: those of another episode."""

    def __str__(self) -> str:
        if self.links != "open":
            return f"links {self.links}"
        return ", ".join([self.channel or "nothing lost", self.codec, f"late {self.late}"])


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a curve.  Points of several curves may share a setting, which is then played once."""

    axis: str
    value: str
    setting: Setting


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The points of a sweep: checked, and in the order in which they are played."""

    points: tuple[Point, ...]
    by_team: bool = False
    """Every training's runs have points of their own (`analysis.bandwidth.teams`)."""

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What is to be played, each once."""
        return tuple(dict.fromkeys(point.setting for point in self.points))


def parse_axis(text: str) -> tuple[str, tuple[str, ...]]:
    """Split `AXIS=VALUE,VALUE,…`; `0,0.1,…,1` counts from 0 to 1 in steps of 0.1.  Raises SettingsError."""
    axis, separator, listed = (part.strip() for part in text.partition("="))
    values = [value.strip() for value in listed.split(",")]
    if not separator or not axis or not all(values):
        raise SettingsError(f"--sweep {text!r} is not of the form AXIS=VALUE,VALUE,…", remedy=EXAMPLE)
    while dots := [place for place, value in enumerate(values) if value in ELLIPSES]:
        values = _filled(text, values, dots[0])
    if len(set(values)) < len(values):
        raise SettingsError(f"--sweep {text!r} names a value twice")
    return axis, tuple(values)


def make_grid(
    axes: Iterable[str],
    *,
    manifest: Manifest,
    tables: LatentTables | None,
    spec: EnvironmentSpec,
    channel: Channel | None = None,
    late: str | None = None,
) -> Grid:
    """The grid of `--sweep` arguments; without any, erasure from 0 to 1 and the codecs that `tables` are there for.

    `spec` is of the world, `channel` the base channel, `late` the late policy where none is swept; None: as the team
    was trained.  Raises SettingsError for what cannot be played.
    """
    if manifest.message is None:
        raise SettingsError(
            f"bundles of {manifest.algorithm!r} send no messages, so there is nothing to sweep over",
            remedy="Evaluate them with `heliograph evaluate`",
        )
    given: dict[str, tuple[str, ...]] = {}
    for text in axes:
        axis, values = parse_axis(text)
        if axis in given:
            raise SettingsError(f"--sweep {axis} is given twice", remedy="List all its values in one")
        given[axis] = values
    if not given:
        given = default_axes(manifest.message, tables=tables)
    chosen, policies, kept, links = (given.pop(axis, ()) for axis in (CODEC, LATE, KEPT, LINKS))
    if links not in ((), (PERMUTED,)):
        raise SettingsError(
            f"--sweep links={','.join(links)}: every sweep has open and cut links, and permuted if you ask",
            remedy="Write --sweep links=permuted",
        )
    for policy in policies:
        if policy not in LATE_POLICIES:
            raise SettingsError(
                f"--sweep late={policy}: late messages are masked, held or predicted",
                remedy="Write mask, hold or predict",
            )
    usual = late or manifest.late_policy
    crossed = [(codec, late) for codec in chosen or (BIT_PACKED,) for late in policies or (usual,)]
    base = channel or Channel()

    def point(axis: str, value: str, channel: str, codec: str, late: str) -> Point:
        return Point(axis=axis, value=value, setting=Setting(channel=channel, codec=codec, late=late))

    points = [point(CLEAR, "", str(base), codec, late) for codec, late in crossed]
    points += [
        point(axis, value, _channel(base, axis, value), codec, late)
        for axis, values in given.items()
        for codec, late in crossed
        for value in values
    ]
    points += [point(KEPT, m, str(base), f"{MOST_INFORMATIVE}:{m}", crossed[0][1]) for m in kept]
    for each in points:
        check_link(each.setting, spec, codecs.make(each.setting.codec, manifest.message, tables))
    levels = [Point(axis=BLIND, value="", setting=Setting(links="cut", late=usual))]
    if links:
        permuted = Setting(channel=str(base), late=crossed[0][1], links=PERMUTED)
        levels.append(Point(axis=PERMUTED, value="", setting=permuted))
    return Grid(points=(*points[: len(crossed)], *levels, *points[len(crossed) :]))


def default_axes(message: MessageFormat, *, tables: LatentTables | None) -> dict[str, tuple[str, ...]]:
    """Erasure from 0 to 1; with tables also the entropy coder, and, of messages that are whole,
    1, 2, 4, … of the categoricals."""
    axes = dict([parse_axis(f"erasure={ERASURES}")])
    if tables is not None:
        axes[CODEC] = (BIT_PACKED, ENTROPY)
        if not message.prefix:
            axes[KEPT] = tuple(str(2**power) for power in range(message.categoricals.bit_length()))
    return axes


def _channel(base: Channel, axis: str, value: str) -> str:
    """The base channel with one fault set; in a value with several parts, such as slots, `+` stands for a comma."""
    return str(replace(base, **fields_of([f"{axis}={value.replace('+', ',')}"])))


def check_link(setting: Setting, spec: EnvironmentSpec, codec: Codec) -> None:
    """Raise SettingsError for what the world has not, such as slots, and for codecs that the channel would break."""
    channel = Channel.parse(setting.channel) if setting.channel else Channel()
    channel.check_world(spec)
    if codec.needs_previous and channel != Channel():
        raise SettingsError(
            f"codec {setting.codec} writes what has changed since the message before, so it needs a reliable link, "
            f"not one with {setting.channel}",
            remedy="Sweep faults with other codecs, and this one without: --sweep codec=…",
        )


def _filled(text: str, values: list[str], place: int) -> list[str]:
    """`values` with the ellipsis at `place` replaced by what it stands for."""
    try:
        before, start, end = (Decimal(values[at]) for at in (place - 2, place - 1, place + 1) if at >= 0)
    except (IndexError, ValueError, InvalidOperation):
        raise SettingsError(
            f"--sweep {text!r}: an ellipsis stands between two numbers and a last one",
            remedy="Write 0,0.1,…,1 for 0 to 1 in steps of 0.1",
        ) from None
    width = start - before
    if not width.is_finite() or not end.is_finite() or width == 0 or (end - start) / width < 1:
        raise SettingsError(f"--sweep {text!r}: steps of {width} from {start} never come to {end}")
    steps = (end - start) / width
    if steps != steps.to_integral_value():
        raise SettingsError(f"--sweep {text!r}: steps of {width} from {start} miss {end}")
    if steps > MOST_VALUES:
        raise SettingsError(f"--sweep {text!r} has {int(steps)} values, more than {MOST_VALUES}")
    between = [_plain(start + width * step) for step in range(1, int(steps))]
    return [*values[:place], *between, *values[place + 1 :]]


def _plain(number: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
