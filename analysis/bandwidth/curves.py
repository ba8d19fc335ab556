"""Score against bits: the points of a sweep's curves, each over several runs.

Runs are the run folders where there are several, each the mean of its seeds, because trainings differ more than
evaluations do; with one folder they are its seeds.  Where teams of several trainings stand side by side, each has a
point over its own runs.

Axis legend: R runs, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.budget import area, whole_exchange_bits
from analysis.bandwidth.cell import Cell, CellResult, CellScores
from analysis.bandwidth.grid import BLIND, CLEAR, KEPT, Setting
from analysis.bandwidth.report.document import (
    CellCount,
    Curve,
    CurvePoint,
    Estimated,
    FailedCell,
    FinishedCell,
    SweepDocument,
)
from analysis.bandwidth.runs import Run
from analysis.bandwidth.sweep import Sweep
from analysis.bandwidth.teams import TEAMS, trained_teams
from coordinator.channel import Channel
from coordinator.plan.plan import LABELS
from coordinator.plan.settings import PERMUTED, late_policy_of
from heliograph.aggregates import Aggregate, aggregate, interquartile_mean

SAVING = (KEPT, "nearest", "silent")
"""Axes along which agents send less; what the other ones lose was sent."""
Played = dict[Cell, CellScores]
"""Finished cells."""


def curves(sweep: Sweep, results: Sequence[CellResult], *, whole_bits: float | None = None) -> tuple[Curve, ...]:
    """The curves of what was finished: points whose cells are not all there are left out.

    `whole_bits` are those of a whole exchange, of which beta is a share; None: nothing is said of beta.
    """
    finished = {result.cell: result.played for result in results if result.played is not None}
    if sweep.grid.by_team:
        return _of_teams(sweep, finished, whole_bits)
    grouped: dict[tuple[str, str, str], list[CurvePoint]] = {}
    for point in sweep.grid.points:
        found = _point(sweep, point.setting, finished, runs=sweep.plans.runs, value=point.value)
        if found is not None:
            # Along `kept` the codec is what changes.
            codec = "" if point.axis in (KEPT, BLIND, PERMUTED) else point.setting.codec
            key = (point.axis, codec, point.setting.late)
            grouped.setdefault(key, []).append(_with_beta(found, whole_bits))
    made = [
        Curve(
            axis=axis,
            codec=codec,
            late=late,
            label=_label(axis, codec, late, channel=sweep.plans.settings.channel),
            points=tuple(points),
        )
        for (axis, codec, late), points in grouped.items()
    ]
    blind = level(made, BLIND)
    return tuple(each if blind is None else replace(each, area=_area(each, blind)) for each in made)


def level(found: Sequence[Curve], axis: str) -> CurvePoint | None:
    """The point of the curve CLEAR, BLIND or PERMUTED, if it was finished; of several codecs the first."""
    return next((curve.points[0] for curve in found if curve.axis == axis), None)


def _of_teams(sweep: Sweep, finished: Played, whole_bits: float | None) -> tuple[Curve, ...]:
    """A curve for each codec, whose points are the teams by the bits that they send."""
    blind = next(point.setting for point in sweep.grid.points if point.axis == BLIND)
    made = []
    for point in sweep.grid.points:
        if point.axis != CLEAR:
            continue
        found = []
        for team in trained_teams(sweep.plans.runs):
            one = _point(sweep, point.setting, finished, runs=team.runs, value=team.label)
            masked = _point(sweep, blind, finished, runs=team.runs, value="")
            if one is not None:
                found.append(_with_beta(replace(one, masked=None if masked is None else masked.score), whole_bits))
        if not found:
            continue
        found.sort(key=lambda each: each.sent_bits)
        curve = Curve(
            axis=TEAMS,
            codec=point.setting.codec,
            late=point.setting.late,
            label=f"teams, {point.setting.codec}",
            points=tuple(found),
        )
        silent = [each.masked for each in found if each.masked is not None]
        known = [each for each in found if each.beta is not None]
        if silent and known:
            # Runs of one team are no runs of another, so the areas of single runs do not exist.
            under = area(
                [each.beta or 0.0 for each in known], [[each.score] for each in known], [max(silent)], bands=False
            )
            curve = replace(curve, area=_estimated(under))
        made.append(curve)
    return tuple(made)


def _point(sweep: Sweep, setting: Setting, finished: Played, *, runs: Sequence[Run], value: str) -> CurvePoint | None:
    """Of a setting, over so many of the runs; None if not all of its cells are finished."""
    cells = [[finished.get(Cell(run=run.name, seed=seed, setting=setting)) for seed in sweep.seeds] for run in runs]
    if any(cell is None for row in cells for cell in row):
        return None
    rows = cells if len(cells) > 1 else [[cell] for cell in cells[0]]

    def mean(of: Callable[[CellScores], float]) -> npt.NDArray[np.float64]:
        return np.array([np.mean([of(cell) for cell in row if cell is not None]) for row in rows])  # [R]

    scores = mean(lambda cell: cell.outcome)
    single = rows[0][0] if len(rows) == 1 else None
    found = (
        aggregate([scores], interquartile_mean)
        if single is None
        else Aggregate(value=single.outcome, low=single.low, high=single.high)
    )
    return CurvePoint(
        value=value,
        score=found.value,
        low=found.low,
        high=found.high,
        sent_bits=float(mean(lambda cell: cell.sent_bits).mean()),
        read_bits=float(mean(lambda cell: cell.read_bits).mean()),
        runs=tuple(scores.tolist()),
    )


def _with_beta(point: CurvePoint, whole_bits: float | None) -> CurvePoint:
    return point if whole_bits is None else replace(point, beta=point.sent_bits / whole_bits)


def _area(curve: Curve, blind: CurvePoint) -> Estimated | None:
    """Of the base channel, and of curves along which less is sent.

    Along others bits may change with who is still there, which saves none.
    """
    if curve.axis not in (CLEAR, *SAVING):
        return None
    beta = [point.beta for point in curve.points if point.beta is not None]
    if len(beta) < len(curve.points):
        return None
    return _estimated(area(beta, [point.runs for point in curve.points], blind.runs))


def _estimated(found: Aggregate) -> Estimated:
    return Estimated(value=found.value, low=found.low, high=found.high)


def sweep_document(sweep: Sweep, results: Sequence[CellResult]) -> SweepDocument:
    """The report's part about the sweep: every curve and every cell, and how to read them."""
    whole_bits = None if sweep.spec is None else whole_exchange_bits(sweep.spec)
    found = curves(sweep, results, whole_bits=whole_bits)
    played = [(result.cell, result.played) for result in results if result.played is not None]
    several, seeds = len(sweep.plans.runs), len(sweep.seeds)
    runs = f"{several} run folders" if several > 1 else f"{seeds} seeds"
    if sweep.grid.by_team:
        runs = "the runs of each team"
    single = several == seeds == 1
    over = "its episodes" if single else runs
    if sweep.grid.by_team and any(len(team.runs) == 1 for team in trained_teams(sweep.plans.runs)):
        over += f", and of a team of one run over its {'episodes' if seeds == 1 else 'seeds'}"
    clear, blind, permuted = level(found, CLEAR), level(found, BLIND), level(found, PERMUTED)
    return SweepDocument(
        measure=played[0][1].measure if played else None,
        episodes=sweep.plans.settings.episodes,
        over="of one run" if single else f"as the interquartile mean of {runs}",
        statistic="one run" if single else f"IQM of {runs}",
        bands=f"95 % intervals over {over}",
        blind_bound=played[0][1].blind_bound if played else None,
        blind_bound_measured=bool(played) and played[0][1].blind_bound_measured,
        clear_level=None if clear is None else clear.score,
        blind_level=None if blind is None else blind.score,
        permuted_level=None if permuted is None else permuted.score,
        curves=found,
        whole_exchange_bits=whole_bits,
        cells=CellCount(finished=len(played), all=len(sweep.cells)),
        failed=tuple(
            FailedCell(cell=str(result.cell), reason=result.failure.reason)
            for result in results
            if result.failure is not None
        ),
        played=tuple(
            FinishedCell(
                run=cell.run,
                seed=cell.seed,
                late_policy=late_policy_of(sweep.plans.run_of(cell).manifest, cell.setting.late),
                late_messages=result.late,
                **{**vars(cell.setting), **vars(result)},
            )
            for cell, result in played
        ),
    )


def _label(axis: str, codec: str, late: str, *, channel: Channel | None) -> str:
    """No two curves of a sweep have the same; `channel` is the base one."""
    levels = {BLIND: LABELS["cut"], PERMUTED: LABELS[PERMUTED]}
    if axis in levels:
        return levels[axis]
    names = {CLEAR: f"{str(channel or '') or 'nothing lost'}, {codec}", KEPT: "most informative categoricals"}
    return names.get(axis, f"{axis}, {codec}") + ("" if late == "mask" else f", late {late}")
