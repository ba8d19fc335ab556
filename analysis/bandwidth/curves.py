"""Score against bits: the points of a sweep's curves, each over several runs.

Runs are the run folders where there are several, each the mean of its seeds, because trainings differ more than
evaluations do; with one folder they are its seeds.

Axis legend: R runs, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.cell import Cell, CellResult, Played
from analysis.bandwidth.grid import BLIND, CLEAR, KEPT, Point
from analysis.bandwidth.sweep import Sweep
from heliograph.aggregates import Aggregate, aggregate, interquartile_mean


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What a point of the grid came to over all runs."""

    value: str
    """On the curve's axis; empty for the clear channel and the cut links."""
    score: Aggregate
    """Interquartile mean over runs; of a single run its mean, with the interval over its episodes."""
    sent_bits: float
    read_bits: float
    """Per agent and step, mean over runs; see `Played`."""
    runs: tuple[float, ...]
    """Each run's score [R]."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One axis of the grid, with one codec and one late policy."""

    axis: str
    codec: str
    late: str
    points: tuple[CurvePoint, ...]

    @property
    def label(self) -> str:
        if self.axis in (CLEAR, BLIND):
            return {CLEAR: f"nothing lost, {self.codec}", BLIND: "every message masked"}[self.axis]
        if self.axis == KEPT:
            return "most informative categoricals"
        return f"{self.axis}, {self.codec}" + ("" if self.late == "mask" else f", late {self.late}")


def curves(sweep: Sweep, results: Sequence[CellResult]) -> tuple[Curve, ...]:
    """The curves of what was finished: points whose cells are not all there are left out."""
    played = {result.cell: result.played for result in results if result.played is not None}
    grouped: dict[tuple[str, str, str], list[CurvePoint]] = {}
    for point in sweep.grid.points:
        found = _point(sweep, point, played)
        if found is not None:
            # Along `kept` the codec is what changes.
            codec = "" if point.axis in (KEPT, BLIND) else point.setting.codec
            grouped.setdefault((point.axis, codec, point.setting.late), []).append(found)
    return tuple(
        Curve(axis=axis, codec=codec, late=late, points=tuple(points))
        for (axis, codec, late), points in grouped.items()
    )


def level(found: Sequence[Curve], axis: str) -> CurvePoint | None:
    """The point of the curve CLEAR or BLIND, if it was finished; of several codecs the first."""
    return next((curve.points[0] for curve in found if curve.axis == axis), None)


def _point(sweep: Sweep, point: Point, played: dict[Cell, Played]) -> CurvePoint | None:
    cells = [
        [played.get(Cell(run=run.name, seed=seed, setting=point.setting)) for seed in sweep.seeds]
        for run in sweep.casting.runs
    ]
    if any(cell is None for row in cells for cell in row):
        return None
    runs = cells if len(cells) > 1 else [[cell] for cell in cells[0]]

    def mean(of: Callable[[Played], float]) -> npt.NDArray[np.float64]:
        return np.array([np.mean([of(cell) for cell in row if cell is not None]) for row in runs])  # [R]

    scores = mean(lambda cell: cell.outcome)
    single = runs[0][0] if len(runs) == 1 else None
    return CurvePoint(
        value=point.value,
        score=aggregate([scores], interquartile_mean)
        if single is None
        else Aggregate(value=single.outcome, low=single.low, high=single.high),
        sent_bits=float(mean(lambda cell: cell.sent_bits).mean()),
        read_bits=float(mean(lambda cell: cell.read_bits).mean()),
        runs=tuple(scores.tolist()),
    )


def as_document(sweep: Sweep, results: Sequence[CellResult]) -> dict[str, Any]:
    """The report's part about the sweep: every curve and every cell, and how to read them."""
    found = curves(sweep, results)
    played = [(result.cell, result.played) for result in results if result.played is not None]
    several, seeds = len(sweep.casting.runs), len(sweep.seeds)
    runs = f"{several} run folders" if several > 1 else f"{seeds} seeds"
    single = several == seeds == 1
    return {
        "measure": played[0][1].measure if played else None,
        "episodes": sweep.casting.episodes,
        "over": "of one run" if single else f"as the interquartile mean of {runs}",
        "statistic": "one run" if single else f"IQM of {runs}",
        "bands": f"95 % intervals over {'its episodes' if single else runs}",
        "blind_bound": played[0][1].blind_bound if played else None,
        "clear_level": _score(level(found, CLEAR)),
        "blind_level": _score(level(found, BLIND)),
        "curves": [_curve(curve) for curve in found],
        "cells": {"finished": len(played), "all": len(sweep.cells)},
        "failed": [
            {"cell": str(result.cell), "reason": result.failure.reason}
            for result in results
            if result.failure is not None
        ],
        "played": [
            {"run": cell.run, "seed": cell.seed, **asdict(cell.setting), **asdict(result)} for cell, result in played
        ],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "axis": curve.axis,
        "codec": curve.codec,
        "late": curve.late,
        "label": curve.label,
        "points": [
            {
                "value": point.value,
                "score": point.score.value,
                "low": point.score.low,
                "high": point.score.high,
                "sent_bits": point.sent_bits,
                "read_bits": point.read_bits,
                "runs": list(point.runs),
            }
            for point in curve.points
        ],
    }


def _score(point: CurvePoint | None) -> float | None:
    return None if point is None else point.score.value
