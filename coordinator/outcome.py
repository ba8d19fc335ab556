"""What a set of episodes came to: outcome with an interval, pace, losses and bits.  Nothing that was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.conservation import Traffic
from coordinator.trajectory import EpisodeResult
from heliograph.environments.vector import EnvironmentSpec
from heliograph.estimates import Estimate, bootstrap, wilson
from heliograph.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One pass of episodes in numbers; None where something was not measured or does not exist."""

    label: str
    """How the team was run: "messages", "every message masked"."""
    episodes: int
    measure: str
    """What `outcome` measures, see `EnvironmentSpec.outcome`."""
    outcome: Estimate
    team_return: Estimate
    steps: int
    """Environment steps of all episodes together."""
    counted_steps: int
    """Those of which messages and seconds were counted: not of episodes that an earlier coordinator has played."""
    seconds: float
    latency_p50_s: float | None
    latency_p99_s: float | None
    waited_p50_s: float | None
    waited_p99_s: float | None
    computed_p50_s: float | None
    computed_p99_s: float | None
    hearable: int
    masked: int
    late: int
    lost: int
    """In the simulated channel."""
    missing: int | None
    """Sent and never received, for no known reason; None where nobody knows."""
    messages: int
    """Messages sent, each counted once per listener."""
    message_bits: float
    """Mean content of a message that was sent: the latent as its codec counts it, and the action; 0 if none was."""
    bits_per_agent_step: float
    read_bits_per_agent_step: float
    """Of those, what was read in time: neither lost nor late, nor out of hearing, nor after the last step."""
    bytes_per_agent_step: float
    """Serialised messages, as the nodes counted them."""
    idle: int
    illegal: int
    cut_episodes: int = 0
    """Those that the environment had not ended after the most steps; they count for what they were then."""


def action_bits(manifest: Manifest) -> int:
    """Bits that a message spends on what was done: on naming one of A actions, or on a continuous one's levels."""
    return manifest.actions.message_bits


def summarise(
    results: Sequence[EpisodeResult],
    *,
    label: str,
    spec: EnvironmentSpec,
    manifest: Manifest,
    seconds: float,
    traffic: Traffic,
    counted_steps: int | None = None,
) -> Summary:
    """Sum up at least one episode and the traffic in it, or in the last `counted_steps` of it."""
    steps = sum(result.steps for result in results)
    counted_steps = steps if counted_steps is None else counted_steps
    agent_steps = max(1, counted_steps) * spec.agents  # where nothing was counted, all sums are 0
    bits = traffic.sent_bits + traffic.sent * action_bits(manifest)
    outcomes = [result.outcome for result in results]
    latency = [value for result in results for value in result.latency_s]
    waited = [value for result in results for value in result.waited_s]
    computed = [value for result in results for value in result.computed_s]
    return Summary(
        label=label,
        episodes=len(results),
        measure=spec.outcome,
        outcome=wilson(outcomes) if spec.outcome == "won" else bootstrap(outcomes),
        team_return=bootstrap([result.team_return for result in results]),
        steps=steps,
        counted_steps=counted_steps,
        seconds=seconds,
        latency_p50_s=_percentile(latency, 50),
        latency_p99_s=_percentile(latency, 99),
        waited_p50_s=_percentile(waited, 50),
        waited_p99_s=_percentile(waited, 99),
        computed_p50_s=_percentile(computed, 50),
        computed_p99_s=_percentile(computed, 99),
        hearable=sum(result.hearable for result in results),
        masked=sum(result.masked for result in results),
        late=traffic.late,
        lost=traffic.lost,
        missing=None if traffic.unknown_links else traffic.missing,
        messages=traffic.sent,
        message_bits=bits / traffic.sent if traffic.sent else 0.0,
        bits_per_agent_step=bits / agent_steps,
        read_bits_per_agent_step=(traffic.read_bits + traffic.read * action_bits(manifest)) / agent_steps,
        bytes_per_agent_step=traffic.sent_bytes / agent_steps,
        idle=sum(result.idle for result in results),
        illegal=sum(result.illegal for result in results),
        cut_episodes=sum(result.cut for result in results),
    )


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
