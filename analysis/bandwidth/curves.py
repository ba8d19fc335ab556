"""Score against bits: the points of a sweep's curves, each over several runs.

Runs are the run folders where there are several, each the mean of its seeds, because trainings differ more than
evaluations do; with one folder they are its seeds.

Axis legend: R runs, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.cell import Cell, CellResult, CellScores
from analysis.bandwidth.grid import BLIND, CLEAR, KEPT, Point
from analysis.bandwidth.report.document import (
    CellCount,
    Curve,
    CurvePoint,
    FailedCell,
    FinishedCell,
    SweepDocument,
)
from analysis.bandwidth.sweep import Sweep
from coordinator.plan.plan import LABELS
from coordinator.plan.settings import PERMUTED
from heliograph.aggregates import Aggregate, aggregate, interquartile_mean


def curves(sweep: Sweep, results: Sequence[CellResult]) -> tuple[Curve, ...]:
    """The curves of what was finished: points whose cells are not all there are left out."""
    played = {result.cell: result.played for result in results if result.played is not None}
    grouped: dict[tuple[str, str, str], list[CurvePoint]] = {}
    for point in sweep.grid.points:
        found = _point(sweep, point, played)
        if found is not None:
            # Along `kept` the codec is what changes.
            codec = "" if point.axis in (KEPT, BLIND, PERMUTED) else point.setting.codec
            grouped.setdefault((point.axis, codec, point.setting.late), []).append(found)
    return tuple(
        Curve(axis=axis, codec=codec, late=late, label=_label(axis, codec, late), points=tuple(points))
        for (axis, codec, late), points in grouped.items()
    )


def level(found: Sequence[Curve], axis: str) -> CurvePoint | None:
    """The point of the curve CLEAR, BLIND or PERMUTED, if it was finished; of several codecs the first."""
    return next((curve.points[0] for curve in found if curve.axis == axis), None)


def _point(sweep: Sweep, point: Point, played: dict[Cell, CellScores]) -> CurvePoint | None:
    cells = [
        [played.get(Cell(run=run.name, seed=seed, setting=point.setting)) for seed in sweep.seeds]
        for run in sweep.plans.runs
    ]
    if any(cell is None for row in cells for cell in row):
        return None
    runs = cells if len(cells) > 1 else [[cell] for cell in cells[0]]

    def mean(of: Callable[[CellScores], float]) -> npt.NDArray[np.float64]:
        return np.array([np.mean([of(cell) for cell in row if cell is not None]) for row in runs])  # [R]

    scores = mean(lambda cell: cell.outcome)
    single = runs[0][0] if len(runs) == 1 else None
    found = (
        aggregate([scores], interquartile_mean)
        if single is None
        else Aggregate(value=single.outcome, low=single.low, high=single.high)
    )
    return CurvePoint(
        value=point.value,
        score=found.value,
        low=found.low,
        high=found.high,
        sent_bits=float(mean(lambda cell: cell.sent_bits).mean()),
        read_bits=float(mean(lambda cell: cell.read_bits).mean()),
        runs=tuple(scores.tolist()),
    )


def sweep_document(sweep: Sweep, results: Sequence[CellResult]) -> SweepDocument:
    """The report's part about the sweep: every curve and every cell, and how to read them."""
    found = curves(sweep, results)
    played = [(result.cell, result.played) for result in results if result.played is not None]
    several, seeds = len(sweep.plans.runs), len(sweep.seeds)
    runs = f"{several} run folders" if several > 1 else f"{seeds} seeds"
    single = several == seeds == 1
    clear, blind, permuted = level(found, CLEAR), level(found, BLIND), level(found, PERMUTED)
    return SweepDocument(
        measure=played[0][1].measure if played else None,
        episodes=sweep.plans.settings.episodes,
        over="of one run" if single else f"as the interquartile mean of {runs}",
        statistic="one run" if single else f"IQM of {runs}",
        bands=f"95 % intervals over {'its episodes' if single else runs}",
        blind_bound=played[0][1].blind_bound if played else None,
        blind_bound_measured=bool(played) and played[0][1].blind_bound_measured,
        clear_level=None if clear is None else clear.score,
        blind_level=None if blind is None else blind.score,
        permuted_level=None if permuted is None else permuted.score,
        curves=found,
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
                late_policy=cell.setting.late,
                late_messages=result.late,
                **{**vars(cell.setting), **vars(result)},
            )
            for cell, result in played
        ),
    )


def _label(axis: str, codec: str, late: str) -> str:
    levels = {CLEAR: f"nothing lost, {codec}", BLIND: LABELS["cut"], PERMUTED: LABELS[PERMUTED]}
    if axis in levels:
        return levels[axis]
    if axis == KEPT:
        return "most informative categoricals"
    return f"{axis}, {codec}" + ("" if late == "mask" else f", late {late}")
