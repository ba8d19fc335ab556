"""What methods reached after so many environment steps, over their seeds: the numbers of a report.

Axis legend: R runs of a label, P points of a curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.campaign.result import DIVERGED, RunResult
from heliograph.aggregates import (
    Aggregate,
    Band,
    aggregate,
    curve,
    interquartile_mean,
    probability_of_improvement,
)

CURVE_POINTS = 60
AT_TARGET = "outcome"
"""How a run ended that reached its target: it would go on as it is."""


@dataclass(frozen=True, kw_only=True)
class AtSteps:
    """A label after so many environment steps, or at its runs' own ends."""

    env_steps: int | None
    """None: each run at its end."""
    runs: int
    """Of which the score is known there; the rest have not come so far."""
    iqm: Aggregate | None
    """None: unknown."""
    cpu_seconds: float | None
    """Processor time until there, interquartile mean over those of the runs that counted it; None: unknown."""
    improvement: Aggregate | None
    """Probability that a run of the label beats one of the baseline there; None: unknown, or it is the baseline."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How a label learned, over what all its runs have in common."""

    at: npt.NDArray[np.float64]
    """float64 [P]: environment steps, or seconds of processor time."""
    band: Band


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """One label in one world, by one policy."""

    label: str
    planned: int
    """Runs that the campaign wants."""
    found: int
    """Of which there is a score."""
    diverged: int
    at: tuple[AtSteps, ...]
    end: AtSteps
    end_steps: tuple[int, int] | None
    """Environment steps at the runs' ends: fewest and most."""
    parameters: tuple[int, int] | None
    """Weights of all networks of a run that has a score: fewest and most; None: not every run has counted them."""
    masked: Aggregate | None
    """At the end, with every message masked; None: unknown, or nothing is sent."""
    permuted: Aggregate | None
    """At the end, with the messages of another episode; None: unknown, nothing is sent, or it was not asked for."""
    searched: Aggregate | None
    """At the end, with a search over the whole team before every step; None: unknown, or it was not asked for."""
    by_steps: Curve | None
    by_cpu_seconds: Curve | None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One run by one policy: evaluations on the way, and the one at the end last."""

    steps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    cpu_seconds: npt.NDArray[np.float64] | None
    """None: not counted."""
    stays: bool
    """It ended at its target, so that it counts with its last value from there on."""

    def at(self, env_steps: float) -> float | None:
        """The score after so many steps, on a straight line between evaluations; None where there are none around."""
        if not self.steps[0] <= env_steps <= self.steps[-1] and not (self.stays and env_steps > self.steps[-1]):
            return None
        return float(np.interp(env_steps, self.steps, self.values))

    def cpu_at(self, env_steps: float) -> float | None:
        """Processor time until there; None where the run did not come so far, or it was not counted."""
        if self.cpu_seconds is None or self.at(env_steps) is None:
            return None
        return float(np.interp(env_steps, self.steps, self.cpu_seconds))


def series_of(result: RunResult, policy: str) -> Series | None:
    """None for a run that was not evaluated so, or diverged."""
    if result.ended == DIVERGED or policy not in result.scores:
        return None
    points = [
        (point.env_steps, point.outcome[policy], point.cpu_seconds)
        for point in result.curve
        if policy in point.outcome and point.env_steps < result.env_steps
    ]
    points.append((result.env_steps, result.scores[policy].score.mean, result.cpu_seconds))
    points.sort()
    cpu = [spent for _, _, spent in points]
    return Series(
        steps=np.array([steps for steps, _, _ in points], dtype=np.float64),
        values=np.array([value for _, value, _ in points], dtype=np.float64),
        cpu_seconds=None if None in cpu else np.array(cpu, dtype=np.float64),
        stays=result.ended == AT_TARGET,
    )


def label_scores(
    results: Mapping[str, Sequence[RunResult]],
    planned: Mapping[str, int],
    *,
    policy: str,
    steps: Sequence[int],
    baseline: str | None,
) -> list[LabelScores]:
    """Of every planned label of one world, in their order; those without results have nothing but unknowns."""
    series = {
        label: [found for result in results.get(label, ()) if (found := series_of(result, policy)) is not None]
        for label in planned
    }
    against = series.get(baseline, []) if baseline is not None else []
    return [
        _label(label, results.get(label, ()), series[label], [] if label == baseline else against, policy, steps, count)
        for label, count in planned.items()
    ]


# Seven parameters: a label is scored from all of these, here alone.
def _label(
    label: str,
    results: Sequence[RunResult],
    series: Sequence[Series],
    against: Sequence[Series],
    policy: str,
    steps: Sequence[int],
    planned: int,
) -> LabelScores:
    masked = [
        found.masked.mean
        for result in results
        if (found := result.scores.get(policy)) is not None and found.masked is not None
    ]
    permuted = [
        found.permuted.mean
        for result in results
        if (found := result.scores.get(policy)) is not None and found.permuted is not None
    ]
    searched = [
        found.searched.mean
        for result in results
        if (found := result.scores.get(policy)) is not None and found.searched is not None
    ]
    ends = [int(each.steps[-1]) for each in series]
    weights = [result.parameters for result in results if policy in result.scores]
    return LabelScores(
        label=label,
        planned=planned,
        found=len(series),
        diverged=sum(result.ended == DIVERGED for result in results),
        at=tuple(_at(series, against, env_steps) for env_steps in steps),
        end=_at(series, against, None),
        end_steps=(min(ends), max(ends)) if ends else None,
        parameters=_range(weights),
        masked=_iqm(masked),
        permuted=_iqm(permuted),
        searched=_iqm(searched),
        by_steps=_curve(series, [each.steps for each in series], hold=True),
        by_cpu_seconds=_curve(series, [each.cpu_seconds for each in series], hold=False),
    )


def _at(series: Sequence[Series], against: Sequence[Series], env_steps: int | None) -> AtSteps:
    scores, others = _values(series, env_steps), _values(against, env_steps)
    spent = [each.cpu_at(each.steps[-1] if env_steps is None else env_steps) for each in series]
    known = [seconds for seconds in spent if seconds is not None]
    improvement = probability_of_improvement([_array(scores)], [_array(others)]) if scores and others else None
    return AtSteps(
        env_steps=env_steps,
        runs=len(scores),
        iqm=_iqm(scores),
        cpu_seconds=float(interquartile_mean([_array(known)])) if known else None,
        improvement=improvement,
    )


def _values(series: Sequence[Series], env_steps: int | None) -> list[float]:
    found = [each.at(each.steps[-1] if env_steps is None else env_steps) for each in series]
    return [value for value in found if value is not None]


def _curve(series: Sequence[Series], axes: Sequence[npt.NDArray[np.float64] | None], *, hold: bool) -> Curve | None:
    """Over what all runs have in common of an axis; `hold` goes on with what runs have that reached their target."""
    known = [axis for axis in axes if axis is not None]
    if not series or len(known) < len(series):
        return None
    ends = [axis[-1] for axis, each in zip(known, series, strict=True) if not (hold and each.stays)]
    start, end = max(axis[0] for axis in known), min(ends) if ends else max(axis[-1] for axis in known)
    if end < start:
        return None
    within = np.unique(np.concatenate([axis[(axis >= start) & (axis <= end)] for axis in known]))
    at = within if len(within) <= CURVE_POINTS else np.linspace(start, end, CURVE_POINTS)
    rows = np.stack([np.interp(at, axis, each.values) for axis, each in zip(known, series, strict=True)])  # [R, P]
    return Curve(at=at, band=curve([rows]))


def _range(counts: Sequence[int | None]) -> tuple[int, int] | None:
    known = [count for count in counts if count is not None]
    return (min(known), max(known)) if known and len(known) == len(counts) else None


def _iqm(scores: Sequence[float]) -> Aggregate | None:
    return aggregate([_array(scores)]) if scores else None


def _array(values: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)
