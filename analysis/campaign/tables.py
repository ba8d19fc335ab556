"""The tables of a campaign's report: the same in the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from analysis.campaign.document import CampaignReport, WorldReport
from analysis.campaign.scores import AtSteps, LabelScores
from analysis.tables.columns import Column, Table
from heliograph.aggregates import Aggregate
from heliograph.display import interval
from heliograph.figures import UNKNOWN

LabelTable = Table[LabelScores]
AT_THE_END: Mapping[str, Callable[[LabelScores], Aggregate | None]] = {
    "every message masked": lambda found: found.masked,
    "messages of another episode": lambda found: found.permuted,
    "with a search": lambda found: found.searched,
}
"""What is shown beside the scores where some label has it."""


LEAST_WHOLE_S = 10
"""Seconds below which tenths are told: nothing has cost 0."""


def heading(world: WorldReport) -> str:
    """What a section is called."""
    measure = "" if world.measure is None else f": {world.measure}"
    return f"{world.world}{measure}, {world.policy} policy"


def tables(report: CampaignReport, world: WorldReport) -> Iterator[LabelTable]:
    """Scores, what they are worth over the baseline, and what they cost; none before a run has ended."""
    if not any(found.found for found in world.labels):
        return
    more = {name: get for name, get in AT_THE_END.items() if any(get(found) is not None for found in world.labels)}
    yield _table(
        "IQM over seeds [95 %] after so many environment steps",
        world,
        _score,
        before=[_column("runs", _runs)],
        after=[_at_the_end(name, get) for name, get in more.items()],
    )
    if report.baseline is not None and any(found.label != report.baseline for found in world.labels):
        others = [found for found in world.labels if found.label != report.baseline]
        yield _table(
            f"probability of a higher score than {report.baseline} [95 %]",
            world,
            lambda found, _: _written(found.improvement, UNKNOWN),
            rows=others,
        )
    yield _table(
        "processor time of training until there, in seconds",
        world,
        lambda found, _: _seconds(found),
        after=[_column("weights", _weights)] if any(found.parameters for found in world.labels) else [],
    )


def _table(
    title: str,
    world: WorldReport,
    cell: Callable[[AtSteps, LabelScores], str],
    *,
    before: Sequence[Column[LabelScores]] = (),
    after: Sequence[Column[LabelScores]] = (),
    rows: Sequence[LabelScores] | None = None,
) -> LabelTable:
    steps = [at.env_steps for at in world.labels[0].at]

    def column(place: int) -> Column[LabelScores]:
        return _column(f"{steps[place]:,}", lambda found: cell(found.at[place], found))

    end = _column("at the end", lambda found: f"{cell(found.end, found)}{_ends(found)}")
    return Table(
        title=title,
        columns=[
            Column(heading="", value=lambda found: found.label, wraps=False),
            *before,
            *map(column, range(len(steps))),
            end,
            *after,
        ],
        rows=list(world.labels if rows is None else rows),
    )


def _at_the_end(name: str, get: Callable[[LabelScores], Aggregate | None]) -> Column[LabelScores]:
    return _column(name, lambda found: _written(get(found), ""))


def _column(name: str, value: Callable[[LabelScores], str]) -> Column[LabelScores]:
    return Column(heading=name, value=value, is_number=True, wraps=True)


def _runs(found: LabelScores) -> str:
    told = str(found.found) if found.found == found.planned else f"{found.found} of {found.planned}"
    return f"{told}, {found.diverged} diverged" if found.diverged else told


def _score(at: AtSteps, found: LabelScores) -> str:
    """With the number of runs where not all that have ended came so far."""
    told = _written(at.iqm, UNKNOWN)
    return f"{told} ({at.runs} of {found.found})" if 0 < at.runs < found.found else told


def _ends(found: LabelScores) -> str:
    """At how many steps the runs ended."""
    if found.end_steps is None:
        return ""
    low, high = found.end_steps
    return f" at {low:,}" if low == high else f" at {low:,} to {high:,}"


def _seconds(at: AtSteps) -> str:
    if at.cpu_seconds is None:
        return UNKNOWN
    return f"{at.cpu_seconds:,.0f}" if at.cpu_seconds >= LEAST_WHOLE_S else f"{at.cpu_seconds:.1f}"


def _weights(found: LabelScores) -> str:
    """Of all its networks."""
    if found.parameters is None:
        return UNKNOWN
    low, high = found.parameters
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _written(value: Aggregate | None, otherwise: str) -> str:
    if value is None:
        return otherwise
    return interval(value.value, value.low, value.high, _number)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
