"""report.json of a campaign, and what the page and the plots are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.campaign.result import RunResult
from analysis.campaign.scores import AtSteps, Curve, LabelScores, label_scores
from analysis.campaign.settings import CampaignSettings
from analysis.campaign.standing import Standing, State
from heliograph.aggregates import Aggregate
from heliograph.documents import DocumentFormat

REPORT = DocumentFormat(name="heliograph-campaign-report", version=1, what="the report")


@dataclass(frozen=True, kw_only=True)
class WorldReport:
    """One world by one policy."""

    world: str
    policy: str
    measure: str | None
    """won, arrived, return, …; None where no run has ended."""
    blind_bound: float | None
    blind_bound_measured: bool
    """See `EnvironmentSpec.blind_bound_measured`."""
    labels: tuple[LabelScores, ...]


@dataclass(frozen=True, kw_only=True)
class CampaignReport:
    """Everything that a campaign has found so far."""

    campaign: str
    description: str
    baseline: str | None
    steps: tuple[int, ...]
    worlds: tuple[WorldReport, ...]
    missing: tuple[Standing, ...]
    """Runs without a score."""
    runs: int
    cpu_seconds: float | None
    """Of all trainings with a result, evaluations on the way included; None: not all of them counted."""
    remarks: tuple[str, ...]


def report_of(campaign: CampaignSettings, found: Sequence[Standing]) -> CampaignReport:
    """What the results of these runs come to."""
    worlds = []
    for world in dict.fromkeys(each.run.cell.world for each in found):
        here = [each for each in found if each.run.cell.world == world]
        planned: dict[str, int] = {}
        results: dict[str, list[RunResult]] = {}
        for each in here:
            label = each.run.cell.label
            planned[label] = planned.get(label, 0) + 1
            if each.result is not None:
                results.setdefault(label, []).append(each.result)
        scored = [result for members in results.values() for result in members if result.scores]
        steps = [step for step in campaign.steps if step <= max(each.plan.env_steps for each in here)]
        for policy in campaign.evaluation.policies:
            labels = label_scores(results, planned, policy=policy, steps=steps, baseline=campaign.baseline)
            worlds.append(
                WorldReport(
                    world=world,
                    policy=policy,
                    measure=scored[0].measure if scored else None,
                    blind_bound=scored[0].blind_bound if scored else None,
                    blind_bound_measured=bool(scored) and scored[0].blind_bound_measured,
                    labels=tuple(labels),
                )
            )
    spent = [each.result.cpu_seconds for each in found if each.result is not None]
    return CampaignReport(
        campaign=campaign.name,
        description=campaign.description,
        baseline=campaign.baseline,
        steps=campaign.steps,
        worlds=tuple(worlds),
        missing=tuple(each for each in found if each.state is not State.DONE),
        runs=len(found),
        cpu_seconds=None if None in spent or not spent else sum(value for value in spent if value is not None),
        remarks=tuple(_remarks([each.result for each in found if each.result is not None])),
    )


def _remarks(results: Sequence[RunResult]) -> list[str]:
    told = []
    if early := [each for each in results if each.ended == "outcome"]:
        told.append(f"Runs that ended at their target, and count with their last score from there on: {len(early)}.")
    if timed := [each for each in results if each.ended == "time"]:
        named = ", ".join(sorted({f"{each.label} in {each.world}" for each in timed}))
        told.append(f"Runs that ended by their time, before their steps: {len(timed)}, {named}.")
    late, lost = Counter[str](), Counter[str]()
    for each in results:
        late[each.label] += sum(score.score.missed_deadlines for score in each.scores.values())
        lost[each.label] += each.lost_episodes
    for what, counted in (
        ("Actions that came too late", late),
        ("Episodes of training lost with their simulator", lost),
    ):
        if named := ", ".join(f"{label} {count}" for label, count in counted.items() if count):
            told.append(f"{what}: {named}.")
    versions = sorted({each.heliograph for each in results})
    if len(versions) > 1:
        told.append(f"Results are of several versions: {', '.join(versions)}.")
    machines = sorted({each.machine for each in results})
    if len(machines) > 1:
        told.append(f"Processor time is of several machines: {'; '.join(machines)}.")
    return told


def document_of(report: CampaignReport) -> dict[str, Any]:
    """report.json; what is not known is null."""
    return REPORT.document(
        {
            "campaign": report.campaign,
            "description": report.description,
            "baseline": report.baseline,
            "runs": report.runs,
            "cpu_seconds": report.cpu_seconds,
            "worlds": [
                {
                    "world": world.world,
                    "policy": world.policy,
                    "measure": world.measure,
                    "blind_bound": world.blind_bound,
                    "blind_bound_measured": world.blind_bound_measured,
                    "labels": {each.label: _label(each) for each in world.labels},
                }
                for world in report.worlds
            ],
            "missing": [{"run": each.run.name, "state": each.state, "detail": each.detail} for each in report.missing],
            "remarks": list(report.remarks),
        }
    )


def _label(found: LabelScores) -> dict[str, Any]:
    return {
        "planned": found.planned,
        "found": found.found,
        "diverged": found.diverged,
        "at": [_at(each) for each in found.at],
        "end": _at(found.end),
        "end_env_steps": found.end_steps,
        "parameters": found.parameters,
        "masked": _aggregate(found.masked),
        "permuted": _aggregate(found.permuted),
        "searched": _aggregate(found.searched),
        "curve": _curve(found.by_steps, "env_steps"),
        "curve_by_processor_time": _curve(found.by_cpu_seconds, "cpu_seconds"),
    }


def _at(found: AtSteps) -> dict[str, Any]:
    return {
        "env_steps": found.env_steps,
        "runs": found.runs,
        "iqm": _aggregate(found.iqm),
        "cpu_seconds": found.cpu_seconds,
        "improvement": _aggregate(found.improvement),
    }


def _aggregate(found: Aggregate | None) -> Mapping[str, Any] | None:
    return None if found is None else vars(found)


def _curve(found: Curve | None, axis: str) -> dict[str, Any] | None:
    def listed(values: npt.NDArray[np.float64] | None) -> list[float] | None:
        return None if values is None else values.round(4).tolist()

    if found is None:
        return None
    band = found.band
    return {axis: listed(found.at), "iqm": listed(band.value), "low": listed(band.low), "high": listed(band.high)}
