"""The best score that any team can reach under a channel, where somebody has worked that out: on `relay`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coordinator.channel.settings import Channel
from heliograph.relay_limit import Faults, Limit, relay_limit

if TYPE_CHECKING:
    from heliograph.environments.vector import EnvironmentSpec


def best_score(spec: EnvironmentSpec, channel: Channel, *, late_policy: str, most_steps: int) -> Limit | None:
    """Of any team in this world, whatever its messages say; None: unknown.

    Known for `relay` with two or three agents that see one another's targets without noise, and for losses by chance,
    bursts and one delay for all messages, unless episodes are too short to cross the grid, end after `most_steps`
    before their time, or differ in too many ways.  With `late_policy` "mask" nothing that is late is ever read.
    """
    parameters = spec.parameters
    if spec.id != "relay" or parameters["cue"] != "next" or parameters["observation_noise"]:
        return None
    if most_steps < parameters["length"]:
        return None
    everyone = parameters["hears"] == "all" or (parameters["hears"] == "ring" and spec.agents == 2)
    if not everyone and parameters["hears"] != "ring":
        return None
    others = (channel.links, channel.distance, channel.jitter_ms, channel.rate_bits, channel.silent)
    if any(others) or channel.rate_bits == 0 or channel.nearest is not None:
        return None
    delay: int | None = max(math.ceil(channel.delay_ms / channel.deadline_ms) - 1, 0)
    if delay and late_policy == "mask":
        delay = None
    return relay_limit(
        agents=spec.agents,
        size=parameters["size"],
        length=parameters["length"],
        faults=Faults(erasure=channel.erasure, burst=channel.burst, delay_steps=delay),
        ring=not everyone,
    )
