"""The trials of a tuning, kept as one file beside the results, from which it goes on.

    {"format": "heliograph-campaign-trials", "version": 1, "campaign": "mine", "method": "mamba", "parameters": {…},
     "seed": 0, "judged_by": "3f0c…",
     "trials": [{"number": 0, "values": {"mamba.loss.kl_scale": 0.13}, "state": "scored", "score": 0.42}, …]}

What was asked for and is not settled is `open`: its runs go on, whoever proposes the next ones.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from analysis.campaign.grid import Cell, cells_of, with_settings
from analysis.campaign.places import Places
from analysis.campaign.scores import series_of
from analysis.campaign.settings import CampaignSettings, TunePlan, seeds_of
from analysis.campaign.standing import Standing, State
from heliograph.aggregates import interquartile_mean
from heliograph.documents import DocumentFormat
from heliograph.errors import SettingsError

TRIALS = DocumentFormat(
    name="heliograph-campaign-trials",
    version=1,
    what="the trials",
    remedy="Name another folder: --results, or remove the file and begin anew",
)


class TrialState(StrEnum):
    """What can be said of a trial."""

    OPEN = "open"
    """Some of its runs are still to be done."""
    SCORED = "scored"
    DIVERGED = "diverged"
    """A run of it has no score and never will: its loss was no number any more, or it ended before its steps."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings, and what they came to."""

    number: int
    values: Mapping[str, Any]
    """By dotted setting."""
    state: TrialState = TrialState.OPEN
    score: float | None = None

    @property
    def variant(self) -> str:
        """As its runs are called."""
        return f"trial-{self.number:03}"


def tune_plan(campaign: CampaignSettings) -> TunePlan:
    """Raises SettingsError if the campaign has none."""
    if campaign.tune is None:
        raise SettingsError(
            f"campaign {campaign.name} has nothing to tune",
            remedy="Say method, trials and parameters in a table [tune]",
        )
    return campaign.tune


def trials_file(campaign: CampaignSettings, places: Places) -> Path:
    return places.results / f"trials-{tune_plan(campaign).method}.json"


def read_trials(campaign: CampaignSettings, places: Places) -> list[Trial]:
    """Those that were asked for so far.

    Raises SettingsError if they are of other parameters, or were judged by something else than the campaign's.
    """
    plan, path = tune_plan(campaign), trials_file(campaign, places)

    def parse(fields: dict[str, Any]) -> list[Trial]:
        if fields["parameters"] != _ranges(plan) or fields["seed"] != plan.seed:
            raise ValueError("it is of other parameters than the campaign's")
        if fields["judged_by"] != _judged_by(campaign):
            raise ValueError("its trials were judged by other worlds, seeds, settings or budgets than the campaign's")
        trials = [
            Trial(
                number=int(each["number"]),
                values={key: each["values"][key] for key in plan.parameters},
                state=TrialState(each["state"]),
                score=None if each["score"] is None else float(each["score"]),
            )
            for each in fields["trials"]
        ]
        for name, range_ in plan.parameters.items():
            if not all(range_.takes(trial.values[name]) for trial in trials):
                raise ValueError(f"a trial has a {name} that is none of those that may be drawn")
        if not all(trial.score is None or math.isfinite(trial.score) for trial in trials):
            raise ValueError("a trial has a score that is no number")
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise ValueError("its trials are not numbered from 0 on")
        if any((trial.score is None) == (trial.state is TrialState.SCORED) for trial in trials):
            raise ValueError("a trial has a score and is not scored, or the other way round")
        return trials

    return TRIALS.find(path, parse) or []


def write_trials(campaign: CampaignSettings, places: Places, trials: Sequence[Trial]) -> None:
    """Replace the file in one go.  Raises OutputFailed."""
    plan = tune_plan(campaign)
    fields = {
        "campaign": campaign.name,
        "method": plan.method,
        "parameters": _ranges(plan),
        "seed": plan.seed,
        "judged_by": _judged_by(campaign),
        "trials": [{**vars(trial), "values": dict(trial.values)} for trial in trials],
    }
    TRIALS.write(trials_file(campaign, places), fields)


def cells_of_trials(campaign: CampaignSettings, trials: Sequence[Trial]) -> list[Cell]:
    """The cells of all trials, trial by trial.  Raises SettingsError if the method is trained nowhere."""
    plan = tune_plan(campaign)
    plain: list[Cell] = [
        cell
        for cell in cells_of(campaign.model_copy(update={"plain": True}))
        if cell.method == plan.method and cell.variant is None and (plan.worlds is None or cell.world in plan.worlds)
    ]
    if not plain:
        raise SettingsError(f"campaign {campaign.name} trains {plan.method} in none of the worlds that tune names")
    return [
        with_settings(cell, trial.variant, trial.values, cell.seeds if plan.seeds is None else seeds_of(plan.seeds))
        for trial in trials
        for cell in plain
    ]


def judged(trial: Trial, runs: Sequence[Standing], campaign: CampaignSettings) -> Trial:
    """The trial with what its runs came to: the mean over worlds of the interquartile mean over seeds."""
    plan = tune_plan(campaign)
    policy = plan.policy or campaign.evaluation.policies[0]
    worlds: dict[str, list[float]] = {}
    for each in runs:
        if each.state is State.DIVERGED:
            return Trial(number=trial.number, values=trial.values, state=TrialState.DIVERGED)
        series = None if each.result is None else series_of(each.result, policy)
        if series is None:
            return trial
        value = series.at(series.steps[-1] if plan.env_steps is None else plan.env_steps)
        if value is None:
            return Trial(number=trial.number, values=trial.values, state=TrialState.DIVERGED)
        worlds.setdefault(each.run.cell.world, []).append(value)
    means = [float(interquartile_mean([np.array(values)])) for values in worlds.values()]
    return Trial(
        number=trial.number, values=trial.values, state=TrialState.SCORED, score=round(float(np.mean(means)), 6)
    )


def _judged_by(campaign: CampaignSettings) -> str:
    """16 hexadecimal digits of all that trials have in common: scores compare where these agree."""
    plan = tune_plan(campaign)
    cells = [
        {**vars(cell), "evaluation": cell.evaluation.model_dump(mode="json")}
        for cell in cells_of_trials(campaign, [Trial(number=0, values={})])
    ]
    common = {"cells": cells, "policy": plan.policy, "env_steps": plan.env_steps}
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:16]


def _ranges(plan: TunePlan) -> dict[str, Any]:
    """As JSON holds them."""
    ranges: dict[str, Any] = plan.model_dump(mode="json")["parameters"]
    return ranges
