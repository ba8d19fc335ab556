"""What the simulated channel is to do, as one frozen value that reads from and prints as `key=value` text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.channel.parsing import fields_of
from heliograph.errors import SettingsError
from heliograph.link_faults import Burst, Distance, check_probability

if TYPE_CHECKING:
    from heliograph.environments.vector import EnvironmentSpec


@dataclass(frozen=True, kw_only=True)
class Channel:
    """All faults of the channel; one left out does nothing.  A message gets through if every one of them lets it.

    Raises SettingsError for values that cannot be.
    """

    erasure: float = 0.0
    """Probability that a message is lost, each by itself."""
    links: tuple[tuple[int, int, float], ...] = ()
    """(sender, receiver, probability): in place of `erasure` on these directed links."""
    burst: Burst | None = None
    distance: Distance | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """A message is on its way for `delay_ms`, give or take up to `jitter_ms`, in virtual time."""
    deadline_ms: float = 100.0
    """How long a step waits for its messages, in virtual time; one that takes k deadlines comes k - 1 steps late."""
    rate_bits: float | None = None
    """Tokens per step of each directed link.  A message takes one for each of its bits, or is lost for want of them."""
    nearest: int | None = None
    """Each agent hears only so many of those that it could, the nearest."""
    silent: tuple[int, ...] = ()
    """Slots that nobody ever hears."""

    def __post_init__(self) -> None:
        check_probability("erasure", self.erasure)
        for sender, receiver, loss in self.links:
            check_probability(f"link {sender}>{receiver}", loss)
            if sender == receiver or min(sender, receiver) < 0:
                raise SettingsError(
                    f"channel: {sender}>{receiver} is no link", remedy="Write sender>receiver, two slots that differ"
                )
        if len({link[:2] for link in self.links}) != len(self.links):
            raise SettingsError("channel: a link is named twice", remedy="Give each link one probability")
        for name, value in (("delay-ms", self.delay_ms), ("jitter-ms", self.jitter_ms)):
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"channel: {name} must be 0 or more, not {value:g}")
        if self.jitter_ms > self.delay_ms:
            raise SettingsError(
                f"channel: {self.delay_ms:g} ms, give or take {self.jitter_ms:g}, would be negative at times",
                remedy="Make delay-ms at least as large as jitter-ms",
            )
        if not (math.isfinite(self.deadline_ms) and self.deadline_ms > 0):
            raise SettingsError(f"channel: deadline-ms must be positive, not {self.deadline_ms:g}")
        if self.rate_bits is not None and not (math.isfinite(self.rate_bits) and self.rate_bits >= 0):
            raise SettingsError(f"channel: rate-bits must be 0 or more, not {self.rate_bits:g}")
        if self.nearest is not None and self.nearest < 0:
            raise SettingsError(f"channel: nearest must be 0 or more, not {self.nearest}", remedy="Give 0 or more")
        if len(set(self.silent)) != len(self.silent) or min(self.silent, default=0) < 0:
            raise SettingsError(f"channel: silent names {list(self.silent)}", remedy="Name each slot once, from 0 on")

    @property
    def needs_distances(self) -> bool:
        return self.distance is not None or self.nearest is not None

    def check_world(self, spec: EnvironmentSpec) -> None:
        """Raise SettingsError if it names a slot that the team has not, or distances that the environment has not."""
        for slot in (*self.silent, *(slot for link in self.links for slot in link[:2])):
            if slot >= spec.agents:
                raise SettingsError(
                    f"channel: there is no slot {slot} in a team of {spec.agents}",
                    remedy=f"Name slots 0..{spec.agents - 1}",
                )
        if self.needs_distances and not spec.has_distances:
            raise SettingsError(
                f"channel: environment {spec.id!r} does not tell how far apart its agents are",
                remedy="Leave out distance and nearest, or take an environment with distances",
            )

    @classmethod
    def parse(cls, *texts: str) -> Channel:
        """Read `key=value` pairs, in one text with commas between them or in several; see keys.py.

        Raises SettingsError, with what to write instead.
        """
        return cls(**fields_of(texts))

    def __str__(self) -> str:
        return ",".join(self._texts())

    def _texts(self) -> Iterator[str]:
        if self.erasure:
            yield f"erasure={_number(self.erasure)}"
        if self.links:
            yield "link=" + ",".join(f"{sender}>{receiver}:{_number(loss)}" for sender, receiver, loss in self.links)
        if self.burst is not None:
            yield f"burst={_number(self.burst.loss)}:{_number(self.burst.mean_steps)}"
        if self.distance is not None:
            yield f"distance={_number(self.distance.half)}:{_number(self.distance.exponent)}"
        for name, value, default in (
            ("delay-ms", self.delay_ms, 0.0),
            ("jitter-ms", self.jitter_ms, 0.0),
            ("deadline-ms", self.deadline_ms, 100.0),
            ("rate-bits", self.rate_bits, None),
            ("nearest", self.nearest, None),
        ):
            if value != default:
                yield f"{name}={_number(value)}"
        if self.silent:
            yield "silent=" + ",".join(map(str, self.silent))


def _number(value: float | int | None) -> str:
    """The shortest text that reads back as the same number."""
    return repr(value).removesuffix(".0")
