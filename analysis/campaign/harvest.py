"""From the folder of a run that has ended, and the reports of its evaluations, to the small file that is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from analysis.campaign.grid import Run
from analysis.campaign.planning import Plan
from analysis.campaign.result import DIVERGED, CurvePoint, PolicyScores, RunResult, Score, SearchedScore
from coordinator.running.report import REPORT
from heliograph.documents import WrongDocument
from heliograph.errors import SettingsError
from heliograph.reading import SMALL, printable, read_json, read_json_lines
from heliograph.run_status import SUMMARY, read_status

METRICS = "metrics.jsonl"
"""As `trainer.training.run_folder` names it, which imports torch."""


class Measured(StrEnum):
    """How the team of a finished run is measured; each is an evaluation with a report of its own."""

    PLAIN = "plain"
    """As it is, and where it is wanted with every message masked as well."""
    PERMUTED = "permuted"
    """With the messages of another episode."""
    SEARCHED = "searched"
    """With a search before every step."""


Reports = Mapping[Measured, Mapping[str, Path]]
"""By policy."""


def harvested(run: Run, plan: Plan, *, campaign: str, folder: Path, reports: Reports) -> RunResult:
    """What a finished run came to, by the reports of its evaluations.

    Raises SettingsError if the files are not as training and evaluation leave them.
    """
    try:
        summary = read_json(folder / SUMMARY, limit=SMALL)
        return RunResult(
            **_common(run, plan, campaign, folder),
            ended=summary["reason"],
            detail="",
            env_steps=summary["env_steps"],
            seconds=round(summary["seconds"], 1),
            measure=summary["outcome_name"],
            blind_bound=summary["blind_bound"],
            blind_bound_measured=summary.get("blind_bound_measured", False),  # older trainings knew exact ones alone
            lost_episodes=summary["lost_episodes"],
            parameters=summary.get("parameters"),
            scores={policy: _scores(reports, policy) for policy in reports[Measured.PLAIN]},
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _not_as_left(folder, error) from error


def diverged(run: Run, plan: Plan, *, campaign: str, folder: Path) -> RunResult:
    """What a run came to whose loss was no number any more.  Raises as `harvested`."""
    try:
        status, history = read_status(folder), read_json_lines(folder / METRICS)
        return RunResult(
            **_common(run, plan, campaign, folder),
            ended=DIVERGED,
            detail=printable(status.detail),
            env_steps=history[-1]["env_steps"] if history else 0,
            seconds=round(history[-1]["seconds"], 1) if history else 0.0,
            measure="outcome",
            blind_bound=None,
            lost_episodes=0,
            scores={},
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _not_as_left(folder, error) from error


def sends_messages(folder: Path) -> bool:
    """Whether the team of a finished run exchanges messages.  Raises SettingsError."""
    try:
        return read_json(folder / SUMMARY, limit=SMALL)["links_cut"] is not None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _not_as_left(folder, error) from error


def _common(run: Run, plan: Plan, campaign: str, folder: Path) -> dict[str, Any]:
    history = read_json_lines(folder / METRICS)
    cpu_seconds = history[-1].get("cpu_seconds") if history else None
    cell = run.cell
    return {
        "campaign": campaign,
        "world": cell.world,
        "method": cell.method,
        "variant": cell.variant,
        "seed": run.seed,
        "preset": cell.preset,
        "algorithm": plan.algorithm,
        "heliograph": read_json(folder / "run.json", limit=SMALL)["heliograph"],
        "machine": _machine(),
        "cpu_seconds": None if cpu_seconds is None else round(cpu_seconds, 1),
        "evaluation_seed": cell.evaluation.seed,
        "by_processes": cell.evaluation.processes,
        "curve": [_point(record) for record in history if any(key.startswith("evaluate/") for key in record)],
        "settings": dict(plan.settings),
        "digest": plan.digest,
    }


def _point(record: Mapping[str, Any]) -> CurvePoint:
    def of(measure: str) -> dict[str, float]:
        end = f"_{measure}"
        return {
            key.removeprefix("evaluate/").removesuffix(end): round(value, 4)
            for key, value in record.items()
            if key.startswith("evaluate/") and key.endswith(end)
        }

    cpu_seconds = record.get("cpu_seconds")
    return CurvePoint(
        env_steps=record["env_steps"],
        seconds=round(record["seconds"], 1),
        cpu_seconds=None if cpu_seconds is None else round(cpu_seconds, 1),
        outcome=of("outcome"),
        team_return=of("return"),
    )


def _scores(reports: Reports, policy: str) -> PolicyScores:
    score, *masked = _passes(reports[Measured.PLAIN][policy])
    permuted = reports.get(Measured.PERMUTED, {}).get(policy)
    return PolicyScores(
        score=score,
        masked=masked[0] if masked else None,
        permuted=None if permuted is None else _passes(permuted)[0],
        searched=_searched(reports.get(Measured.SEARCHED, {}).get(policy)),
    )


def _passes(report: Path) -> list[Score]:
    """Of each condition."""
    document = REPORT.check(read_json(report))
    if document["interrupted"]:
        raise ValueError(f"{report} is of an evaluation that was interrupted")
    return [_score(entry) for entry in document["summaries"]]


def _score(entry: Mapping[str, Any]) -> Score:
    outcome = entry["outcome"]
    return Score(
        mean=round(outcome["mean"], 4),
        low=round(outcome["low"], 4),
        high=round(outcome["high"], 4),
        team_return=round(entry["team_return"]["mean"], 4),
        episodes=entry["episodes"],
        bits_per_agent_step=entry["bits_per_agent_step"],
        missed_deadlines=entry["idle"],
    )


def _searched(report: Path | None) -> SearchedScore | None:
    if report is None:
        return None
    (entry,) = REPORT.check(read_json(report))["search"]
    outcome = {name: round(entry["outcome"][name], 4) for name in ("mean", "low", "high")}
    return SearchedScore(**outcome, episodes=entry["episodes"])


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def _not_as_left(folder: Path, error: Exception) -> SettingsError:
    told = str(error) or type(error).__name__
    remedy = error.remedy if isinstance(error, WrongDocument) else ""
    return SettingsError(
        f"{folder} is not as a training leaves it: {told}", remedy=remedy or "Remove it, and it is trained anew"
    )
