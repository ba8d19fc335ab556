"""Sentences and headline figures of the page."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.bandwidth.grid import CLEAR
from analysis.bandwidth.report.document import BandwidthReport, CurvePoint, Layer, SweepDocument
from analysis.bandwidth.report.formatting import SCORES, number, score
from analysis.bandwidth.teams import TEAMS

NEARLY = 0.02
"""Of the score: what counts as no worse than the best team."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure in large type, and what it is."""

    figure: str
    what: str


def title(report: BandwidthReport) -> str:
    made = report.settings
    return f"Bandwidth of {report.summary.agents} agents, {made['algorithm']} in {made['environment']}"


def tiles(report: BandwidthReport) -> list[Tile]:
    """Score, its levels without messages, and what a message takes and tells."""
    found, sweep, content = report.summary, report.sweep, report.information
    name, mean, wire = SCORES[found.measure], found.score, outermost(report)
    between = f"between {score(mean.low)} and {score(mean.high)} with 95 % confidence"
    made = [(score(mean.mean), f"{name} with messages, over {found.episodes} episodes; {between}")]
    if sweep is not None and sweep.blind_level is not None:
        made.append((score(sweep.blind_level), f"{name} with every message masked"))
    if sweep is not None and sweep.permuted_level is not None:
        made.append((score(sweep.permuted_level), f"{name} with the messages of another episode"))
    for curve in () if sweep is None else sweep.curves:
        if curve.area is not None and len(curve.points) > 1:
            made.append((score(curve.area.value), f"area under {name} against beta, {curve.label}"))
    if found.blind_bound is not None:
        exact = "no-communication bound: the most that any team without messages can reach"
        best = "best found without messages: another rule may reach more"
        made.append((score(found.blind_bound), best if found.blind_bound_measured else exact))
    made.append(
        (number(found.bits_per_agent_step), "bits that an agent sends per step, actions included, once per receiver")
    )
    if wire is not None:
        made.append((number(wire.bytes_per_message), f"bytes per message at {wire.name}, {wire.how}"))
    if content is not None:
        made.append(
            (
                f"{number(content.message_bits)} of {number(content.ceiling_bits)}",
                "bits of entropy in a message at most, of those that it could hold",
            )
        )
    lossless = [each for each in report.codecs if each.lossless and each.bits_per_message is not None]
    if lossless:
        shortest = min(lossless, key=lambda each: each.bits_per_message or 0.0)
        made.append((number(shortest.bits_per_message), f"bits per message with codec {shortest.codec}, lossless"))
    return [Tile(figure=figure, what=what) for figure, what in made]


def verdict(report: BandwidthReport) -> str:
    """What the messages are worth and what they cost, in words."""
    found, sweep, wire = report.summary, report.sweep, outermost(report)
    name = SCORES[found.measure]
    if report.information is None:
        return f"The team, whose agents send no messages, comes to a {name} of {score(found.score.mean)}."
    sentence = f"With its messages the team comes to a {name} of {score(found.score.mean)}"
    if sweep is not None and sweep.blind_level is not None:
        sentence += f", with every message masked to {score(sweep.blind_level)}"
    if sweep is not None and sweep.permuted_level is not None:
        sentence += f", with those of another episode to {score(sweep.permuted_level)}"
    sentence += f". An agent sends {number(found.bits_per_agent_step)} bits per step, actions included"
    if wire is not None:
        sentence += f"; a message takes {number(wire.bytes_per_message)} bytes at {wire.name} ({wire.how})"
        beyond = [row.name for row in report.layers[report.layers.index(wire) + 1 :]]
        sentence += f"; what {' and '.join(beyond)} adds is not known" if beyond else ", with all that carries it"
    return sentence + "."


def worth(report: BandwidthReport) -> str:
    """What messages are worth and what they cost, in one sentence; empty where no sweep tells."""
    sweep = report.sweep
    if sweep is None or sweep.measure is None:
        return ""
    name = SCORES[sweep.measure]
    curves = [curve for curve in sweep.curves if curve.axis == TEAMS]
    measured = [
        (f"{point.value} with {curve.codec}" if len(curves) > 1 and point.sent_bits else point.value, point)
        for curve in curves
        for point in curve.points
        if point.masked is not None
    ]
    teams = dict(measured)  # those that send nothing are the same with every codec
    talking = [label for label, point in teams.items() if point.sent_bits]
    if talking:
        most = max(point.score for point in teams.values())
        near = {label: point for label, point in teams.items() if point.score >= most - NEARLY}
        label, found = min(near.items(), key=lambda each: each[1].sent_bits)
        if not found.sent_bits:
            most_by = f"the best of the {len(teams)} is no more than {NEARLY:g} better"
            return f"{label} sends nothing and comes to {score(found.score)} of {name}; {most_by}."
        told = _worth(name, found, found.masked or 0.0)
        if len(talking) == 1:
            return f"Of {label} the {told}"
        return f"{label} sends least of those within {NEARLY:g} of the best, among {len(teams)}: its {told}"
    clear = next((curve.points[0] for curve in sweep.curves if curve.axis == CLEAR), None)
    if clear is None or sweep.blind_level is None:
        return ""
    return f"The {_worth(name, clear, sweep.blind_level)}"


def beyond_whole(sweep: SweepDocument) -> list[str]:
    """A sentence for each curve with points that cost more than a whole exchange, which is what they really sent."""
    told = []
    for curve in sweep.curves:
        beyond = [point.beta for point in curve.points if point.beta is not None and point.beta > 1]
        if beyond:
            which = f"{len(beyond)} of the {len(curve.points)} points" if len(curve.points) > 1 else "its point"
            area = "" if curve.area is None else ", which the area leaves out"
            told.append(
                f"{curve.label}: {which} cost more than a whole exchange, up to a beta of {_beta(max(beyond))}{area}"
            )
    return told


def _beta(value: float) -> str:
    return number(round(value, 3))


def _worth(name: str, point: CurvePoint, masked: float) -> str:
    beta = "" if point.beta is None else f", {_beta(point.beta)} of a whole exchange (beta)"
    return (
        f"messages are worth {score(point.score - masked)} of {name} ({score(point.score)} with them, {score(masked)} "
        f"with every message masked) for {number(point.sent_bits)} bits per agent and step{beta}."
    )


def outermost(report: BandwidthReport) -> Layer | None:
    """The last layer that is known, measured or computed: the row of the table that sentences quote."""
    found = [row for row in report.layers if row.bytes_per_message is not None]
    return found[-1] if found else None
