"""The JSON of a comparison: everything that is printed or drawn, as dataclasses whose fields are its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.comparison.results import Curves, LabelResult, Section
from heliograph.aggregates import Aggregate, Band
from heliograph.documents import DocumentFormat

COMPARISON = DocumentFormat(name="heliograph-comparison", version=1, what="the comparison")


@dataclass(frozen=True, kw_only=True)
class BandDocument:
    """A curve and its pointwise 95 % band, which one run per task cannot give."""

    value: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class LabelDocument:
    """One label in a section: see `LabelResult`."""

    runs: int
    env_steps: tuple[int, int]
    best_checkpoint: bool
    scored: tuple[str, ...]
    mean: Aggregate
    median: Aggregate | None
    iqm: Aggregate
    optimality_gap: Aggregate | None
    minimum: float
    maximum: float
    scores: tuple[tuple[float, ...], ...]
    """Of single runs, task by task."""


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """Probability that a run of one label beats a run of another."""

    of: str
    over: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class SectionDocument:
    """One task, or all tasks together."""

    name: str
    measure: str
    scored: str
    labels: Mapping[str, LabelDocument]
    improvement: tuple[Improvement, ...]
    thresholds: tuple[float, ...]
    profiles: Mapping[str, BandDocument]
    """By label: share of runs above each threshold."""
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CurveDocument:
    """Learning curves of one task."""

    task: str
    env_steps: tuple[int, ...]
    labels: Mapping[str, BandDocument]


@dataclass(frozen=True, kw_only=True)
class ComparisonDocument:
    """The whole file."""

    format: str | None = COMPARISON.name
    version: int = COMPARISON.version
    metric: str
    policy: str
    sections: tuple[SectionDocument, ...]
    curves: tuple[CurveDocument, ...]


def document_of(found: Sequence[Section], curves: Sequence[Curves], *, metric: str, policy: str) -> ComparisonDocument:
    """What a comparison by `metric` of the evaluations of `policy` found."""
    return ComparisonDocument(
        metric=metric,
        policy=policy,
        sections=tuple(map(_section, found)),
        curves=tuple(
            CurveDocument(
                task=curve.task,
                env_steps=tuple(curve.steps.tolist()),
                labels={label: _band(band) for label, band in curve.bands.items()},
            )
            for curve in curves
        ),
    )


def _section(section: Section) -> SectionDocument:
    return SectionDocument(
        name=section.name,
        measure=section.measure,
        scored=section.scored,
        labels={label: _label(result) for label, result in section.labels.items()},
        improvement=tuple(
            Improvement(of=one, over=other, **vars(value)) for (one, other), value in section.improvement.items()
        ),
        thresholds=tuple(section.thresholds.tolist()),
        profiles={label: _band(result.profile) for label, result in section.labels.items()},
        remarks=section.remarks,
    )


def _label(result: LabelResult) -> LabelDocument:
    return LabelDocument(
        runs=result.runs,
        env_steps=result.steps,
        best_checkpoint=result.best,
        scored=result.kinds,
        mean=result.mean,
        median=result.median,
        iqm=result.iqm,
        optimality_gap=result.gap,
        minimum=result.low,
        maximum=result.high,
        scores=tuple(tuple(task.tolist()) for task in result.scores),
    )


def _band(band: Band) -> BandDocument:
    def listed(values: npt.NDArray[np.float64] | None) -> tuple[float, ...] | None:
        return None if values is None else tuple(values.tolist())

    return BandDocument(value=tuple(band.value.tolist()), low=listed(band.low), high=listed(band.high))
