"""Shows what a run came to: a table for people, a dictionary for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coordinator.channel.limit import best_score
from coordinator.plan.options import as_json
from coordinator.plan.plan import LABELS
from coordinator.running.outcome import Summary
from coordinator.serving.conservation import LinkBalance
from coordinator.serving.cuts import Cut, in_words
from coordinator.serving.supervisor import NodeExit
from heliograph import display
from heliograph.documents import DocumentFormat, finite
from heliograph.environments.vector import MOST_STEPS
from heliograph.estimates import Estimate
from heliograph.figures import UNKNOWN, doubts, written
from heliograph.relay_limit import Limit

if TYPE_CHECKING:
    from coordinator.links.wire_report import WireReport
    from coordinator.plan.plan import Plan
    from coordinator.running.launch_settings import LaunchSettings
    from heliograph.bundle import Bundle
    from heliograph.environments.vector import EnvironmentSpec

REPORT = DocumentFormat(name="heliograph-report", version=1, what="the report")


@dataclass(frozen=True, kw_only=True)
class Version:
    """The bundles that played from an episode on."""

    first_episode: int
    """Its number; conditions are numbered through."""
    training_step: int
    digests: tuple[str, ...]
    """By slot."""

    @classmethod
    def of(cls, bundles: Sequence[Bundle], *, first_episode: int) -> Version:
        return cls(
            first_episode=first_episode,
            training_step=bundles[0].manifest.training_step,
            digests=tuple(bundle.digest for bundle in bundles),
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """A finished, or interrupted, run of a team."""

    title: str
    environment: str
    parameters: dict[str, Any]
    algorithm: str
    run_seed: int
    greedy: bool
    agents: int
    blind_bound: float | None
    channel: str | None
    """What was simulated, as `Channel.parse` reads it; None: nothing."""
    channel_limit: Limit | None = None
    """Between which scores the best that any team can reach under that channel lies; None: unknown."""
    summaries: tuple[Summary, ...]
    versions: tuple[Version, ...] = ()
    """In order; more than one where a run was followed."""
    links: tuple[LinkBalance, ...] | None = None
    """None where the run ended before they were counted."""
    wire: WireReport | None = None
    """None where links were not counted."""
    endings: tuple[NodeExit, ...] = ()
    """Node processes that died during the run."""
    departures: dict[int, int] = field(default_factory=dict)
    """How often the node of a slot left before it was told to; slots without any are left out."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Every option of the run, by name."""
    most_steps: int = MOST_STEPS
    """After which an episode was cut that the environment had not ended."""
    interrupted: bool = False
    output_failure: str | None = None
    """Why the run ended early: what it was to keep could not be written; None: it did not."""
    undrawn: str | None = None
    """Why pictures that were asked for are not there, or not all; the run did without.  None: they are, or were not."""
    stale_acts: int = 0
    cuts: tuple[Cut, ...] = ()
    """Times for which the world was paused."""
    lost_episodes: int = 0
    """Episodes whose simulator died; they count nowhere."""
    blind_bound_measured: bool = False
    """See `EnvironmentSpec.blind_bound_measured`."""
    earlier_episodes: int = 0
    """Finished ones that an earlier coordinator has played; messages and seconds are of the others."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        spec: EnvironmentSpec,
        *,
        team: str,
        summaries: Iterable[Summary],
        launch: LaunchSettings | None = None,
        **found: Any,
    ) -> Report:
        """The report of a plan run in a world by `team` ("2 processes"); `found` are the remaining fields."""
        found.setdefault("versions", (Version.of(plan.bundles, first_episode=0),))
        return cls(
            title=f"{team}, {plan.manifest.algorithm} in {spec.id}",
            environment=spec.id,
            parameters=spec.parameters,
            algorithm=plan.manifest.algorithm,
            run_seed=plan.run_seed,
            greedy=plan.greedy,
            agents=spec.agents,
            blind_bound=spec.blind_bound,
            blind_bound_measured=spec.blind_bound_measured,
            channel=None if plan.channel is None else str(plan.channel),
            channel_limit=None
            if plan.channel is None
            else best_score(spec, plan.channel, late_policy=plan.late_policy, most_steps=plan.most_steps),
            settings=as_json(plan) | ({} if launch is None else as_json(launch)),
            most_steps=plan.most_steps,
            summaries=tuple(summaries),
            **found,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; documented in the fields of `Report`, `Summary` and `LinkBalance`, and in `heliograph.figures`."""
        fields = dataclasses.asdict(dataclasses.replace(self, wire=None))
        fields["wire"] = None if self.wire is None else self.wire.as_dict()
        fields["endings"] = [
            {"slot": end.slot, "exit_code": end.exit_code, "log": str(end.log_path)} for end in self.endings
        ]
        return REPORT.document(finite(fields))


Row = tuple[str, list[str]]


def rows(report: Report) -> list[Row]:
    """The table's rows: a name and one cell per summary; rows that nothing is known of are left out."""
    summaries = report.summaries
    measure = summaries[0].measure if summaries else "outcome"
    name = {"won": "success", "arrived": "share arrived", "return": "return per agent"}.get(measure, measure)
    table: list[Row] = [(f"{name} (95 % interval)", [score(s, s.outcome) for s in summaries])]
    if report.blind_bound is not None:
        known = "best found" if report.blind_bound_measured else "bound"
        table.append((f"{known} without communication", [f"{report.blind_bound:.3g}"] * len(summaries)))
    if report.channel_limit is not None:
        table.append(("best of any team on this channel", [_limit(s, report.channel_limit) for s in summaries]))
    if measure != "return":
        table.append(("return per agent", [score(s, s.team_return) for s in summaries]))
    table += [
        ("episodes", [str(s.episodes) for s in summaries]),
        ("  of them without some agent", [_absent(s) for s in summaries]),
        ("environment steps", [_pace(s) for s in summaries]),
        ("bits per agent-step", [written(s, "bits_per_agent_step", _number) for s in summaries]),
        ("  of them read in time", [written(s, "read_bits_per_agent_step", _number) for s in summaries]),
        ("bits per message", [written(s, "message_bits", "{:.4g}".format) for s in summaries]),
        ("serialised bytes per agent-step", [written(s, "bytes_per_agent_step", _number) for s in summaries]),
        ("step latency p50 / p99", [_milliseconds(s.latency_p50_s, s.latency_p99_s) for s in summaries]),
        ("  of it waiting for messages", [_milliseconds(s.waited_p50_s, s.waited_p99_s) for s in summaries]),
        ("  of it in the step function", [_milliseconds(s.computed_p50_s, s.computed_p99_s) for s in summaries]),
        ("in place of late messages", [_late(s, report) for s in summaries]),
        ("masked messages", [f"{s.masked} of {s.hearable}" for s in summaries]),
        ("late messages", [written(s, "late") for s in summaries]),
        ("lost in the channel", [written(s, "lost") if report.channel else "" for s in summaries]),
        ("lost messages", [written(s, "missing") for s in summaries]),
        ("missed action deadlines", [str(s.idle) for s in summaries]),
    ]
    if any(s.illegal for s in summaries):
        table.append(("illegal actions", [str(s.illegal) for s in summaries]))
    return [(label, cells) for label, cells in table if any(cells)]


def _late(summary: Summary, report: Report) -> str:
    """What was read where a message did not come; empty for teams in which nobody is read."""
    return str(report.settings.get("late", "")) if summary.hearable else ""


def print_report(report: Report) -> None:
    """Print the table, and what went wrong, to stdout."""
    console = display.console()
    if report.summaries:
        table = display.table(report.title, "", *(summary.label for summary in report.summaries))
        for label, cells in rows(report):
            table.add_row(label, *cells)
        console.print(table)
    for line in remarks(report):
        console.print(line, highlight=False, markup=False)


def remarks(report: Report) -> list[str]:
    """What a reader of the table must know besides."""
    lines = []
    if report.channel:
        lines.append(f"Simulated channel: {report.channel}")
    if report.interrupted:
        lines.append("Interrupted: results cover completed episodes only.")
        if any(s.counted_steps > s.steps for s in report.summaries):
            lines.append(
                "Messages and bits are also of the episode that was not completed: of all steps until the stop."
            )
    if report.earlier_episodes:
        lines.append(
            f"{report.earlier_episodes} of the episodes were run by an earlier coordinator; bits and bytes per "
            "agent-step and steps per second are of those that this one ran."
        )
    lines += [_not_the_teams(summary) for summary in report.summaries if summary.absent_episodes != 0]
    for summary in report.summaries:
        lines += [f"{summary.label}: not everything was counted, because {why}." for why in doubts(summary)]
    if len(report.versions) > 1:
        lines.append(f"Bundles, newer ones as they came: {_some([_in_words(version) for version in report.versions])}")
    if report.links is not None:
        unknown = [f"{link.sender}->{link.receiver}" for link in report.links if link.missing is None]
        lossy = [f"{link.sender}->{link.receiver}: {link.missing}" for link in report.links if link.missing]
        if unknown:
            lines.append(
                f"Losses unknown on {len(unknown)} of {len(report.links)} links, an end of which died: {_some(unknown)}"
            )
        if lossy:
            lines.append(f"Messages sent but never received: {_some(lossy)}")
        if report.links and not unknown and not lossy:
            lost = sum(link.lost or 0 for link in report.links)  # all are known
            fate = f"received, or lost in the simulated channel ({lost})" if report.channel else "received"
            lines.append(f"All {len(report.links)} links conserve: every message sent was {fate}.")
    for summary in report.summaries:
        if summary.cut_episodes:
            lines.append(
                f"{summary.cut_episodes} of {summary.episodes} episodes {summary.label} were cut, which their "
                f"environment had not ended after {report.most_steps} steps; they count for what they were then."
            )
    if report.lost_episodes:
        lines.append(f"{report.lost_episodes} episodes discarded after simulator crashes; they count nowhere.")
    if report.cuts:
        lines.append(in_words(report.cuts))
    if report.stale_acts:
        lines.append(f"Actions received after their step: {report.stale_acts}")
    if report.departures:
        left = [f"{slot} ({count} x)" for slot, count in report.departures.items()]
        lines.append(f"Nodes that left during the run, and were masked until they were back: {_some(left)}")
    lines += [str(ending) for ending in report.endings]
    if report.output_failure is not None:
        lines.append(
            f"Stopped, as a file could not be written; results cover completed episodes only: {report.output_failure}"
        )
    return lines


def _pace(summary: Summary) -> str:
    rate = f" ({summary.counted_steps / summary.seconds:.0f}/s)" if summary.counted_steps else ""
    return f"{summary.steps}{rate}"


def score(summary: Summary, value: Estimate) -> str:
    """With a mark where it is not the whole team's."""
    return display.interval(value.mean, value.low, value.high) + (" *" if summary.absent_episodes != 0 else "")


def _limit(summary: Summary, limit: Limit) -> str:
    """Nothing where messages are masked."""
    if summary.label != LABELS["open"]:
        return ""
    low, high = f"{limit.low:.3f}", f"{limit.high:.3f}"
    return low if low == high else f"{low} to {high}"


def _absent(summary: Summary) -> str:
    """Nothing where all agents were there."""
    if summary.absent_episodes is None:
        return UNKNOWN
    return f"{summary.absent_episodes} of {summary.episodes}" if summary.absent_episodes else ""


def _not_the_teams(summary: Summary) -> str:
    """Why a score has a mark."""
    if summary.absent_episodes is None:
        return f"* {summary.label}: an earlier coordinator did not tell in how many episodes an agent did nothing."
    slots = ", ".join(map(str, summary.absent_slots))
    return (
        f"* {summary.label}: in {summary.absent_episodes} of {summary.episodes} episodes an agent did nothing from "
        f"the first step to the last (slot {slots}), so this is no score of the whole team."
    )


def _in_words(version: Version) -> str:
    digests = _some([digest[:12] for digest in version.digests])
    return f"from episode {version.first_episode} training step {version.training_step} ({digests})"


def _milliseconds(p50_s: float | None, p99_s: float | None) -> str:
    return "" if p50_s is None or p99_s is None else f"{p50_s * 1e3:.2f} / {p99_s * 1e3:.2f} ms"


def _number(value: float) -> str:
    return f"{value:.1f}"


def _some(names: Sequence[str], *, limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
