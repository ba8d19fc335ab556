"""What a set of episodes came to: outcome with an interval, pace, losses and bits.  Nothing that was not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from coordinator.serving.conservation import Traffic
from coordinator.world.trajectory import EpisodeResult
from heliograph.environments.vector import EnvironmentSpec
from heliograph.estimates import Estimate, bootstrap, wilson
from heliograph.figures import Inexact, figures, joined


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One pass of episodes in numbers; None where something is not known, was not measured or does not exist.

    Figures of `heliograph.figures` are all that nodes count: from `late` to `bytes_per_agent_step`.
    """

    label: str
    """How the team was run: "messages", "every message masked"."""
    episodes: int
    measure: str
    """What `outcome` measures, see `EnvironmentSpec.outcome`."""
    outcome: Estimate
    team_return: Estimate
    steps: int
    """Environment steps of all finished episodes together."""
    counted_steps: int
    """Those in which messages and seconds were counted: without episodes that an earlier coordinator has played, with
    those that did not come to their end."""
    seconds: float
    latency_p50_s: float | None
    latency_p99_s: float | None
    waited_p50_s: float | None
    waited_p99_s: float | None
    computed_p50_s: float | None
    computed_p99_s: float | None
    hearable: int
    masked: int
    late: int | None
    lost: int | None
    """In the simulated channel."""
    missing: int | None
    """Sent and never received, for no known reason."""
    messages: int | None
    """Messages sent, each counted once per listener."""
    message_bits: float | None
    """Mean content of a message that was sent: the latent as its codec counts it, and the action; None if none was."""
    bits_per_agent_step: float | None
    read_bits_per_agent_step: float | None
    """Of those, what was read in time: neither lost nor late, nor out of hearing, nor after the last step."""
    bytes_per_agent_step: float | None
    """Serialised messages, as the nodes counted them."""
    idle: int
    illegal: int
    cut_episodes: int = 0
    """Those that the environment had not ended after the most steps; they count for what they were then."""
    absent_episodes: int | None = 0
    """Those in which an agent was to act and did at no step: outcome and return are then not the whole team's.  None:
    not known."""
    absent_slots: tuple[int, ...] = ()
    """Slots of those agents, as far as they are known."""
    inexact: Mapping[str, Inexact] = field(default_factory=dict)


# Seven parameters: a summary is of all of these, and nothing but a summary is.
def summarise(
    results: Sequence[EpisodeResult],
    *,
    label: str,
    spec: EnvironmentSpec,
    seconds: float,
    traffic: Traffic,
    counted_steps: int | None = None,
    earlier: int = 0,
) -> Summary:
    """Sum up at least one episode and the traffic in it, or in `counted_steps` of it.

    `earlier` is how many of the episodes an earlier coordinator has played, which keeps what it counted to itself.
    """
    steps = sum(result.steps for result in results)
    counted_steps = steps if counted_steps is None else counted_steps
    before = f"an earlier coordinator counted {earlier} of {len(results)} episodes" if earlier else ""
    everywhere = "; ".join(filter(None, (before, traffic.doubt)))
    bits = traffic.sent_bits + _action_bits(traffic.sent_by, spec)
    read_bits = traffic.read_bits + _action_bits(traffic.read_of, spec)
    sums = {"late": traffic.late, "lost": traffic.lost, "messages": traffic.sent}
    # Per step they are of what was counted here, and whole where that is.
    shares = {
        "bits_per_agent_step": bits,
        "read_bits_per_agent_step": read_bits,
        "bytes_per_agent_step": traffic.sent_bytes,
    }
    agent_steps = counted_steps * spec.agents
    per_step = {name: value / agent_steps if agent_steps else 0.0 for name, value in shares.items()}
    unsettled = f"an end of {traffic.unknown_links} links died or did not report" if traffic.unknown_links else ""
    mean = {"message_bits": bits / traffic.sent if traffic.sent else None}
    outcomes = [result.outcome for result in results]
    absent = [result.absent for result in results]
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
        idle=sum(result.idle for result in results),
        illegal=sum(result.illegal for result in results),
        cut_episodes=sum(result.cut for result in results),
        absent_episodes=None if None in absent else sum(map(bool, absent)),
        absent_slots=tuple(sorted({slot for slots in absent if slots for slot in slots})),
        **joined(
            figures(sums, doubt=everywhere),
            figures({"missing": traffic.missing}, doubt=everywhere or unsettled),
            figures(per_step, doubt=traffic.doubt if counted_steps else everywhere),
            figures(mean, doubt=traffic.doubt, bounds=False),
        ),
    )


def _action_bits(messages: Mapping[int, int], spec: EnvironmentSpec) -> int:
    """What so many messages by the slot of their sender spend on actions."""
    return sum(count * spec.action_space(slot).message_bits for slot, count in messages.items())


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
