"""What one run of a campaign came to: a small file that is worth committing, and enough to report from.

    {"format": "heliograph-campaign-run", "version": 1, "campaign": "methods", "world": "smax-3m", "method": "mamba",
     "variant": null, "seed": 0, "ended": "steps", "env_steps": 20160, …, "curve": {"env_steps": [2304, …], …}}

Figures that nobody measured are null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from heliograph.documents import DocumentFormat
from heliograph.errors import OutputFailed
from heliograph.library_errors import cause_of
from heliograph.reading import SMALL
from heliograph.system_refusals import remedy_for
from heliograph.writing import replace_text

RESULT = DocumentFormat(
    name="heliograph-campaign-run",
    version=1,
    what="the result",
    remedy="Remove it, and its run is measured again",
)
DIVERGED = "diverged"
"""How a run ended whose loss was no number any more; the others end by steps, time or outcome."""
_STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
_MOST = 1e100
Count = Annotated[int, Field(ge=0)]
Figure = Annotated[float, Field(ge=-_MOST, le=_MOST)]
"""Sums and products of such numbers are numbers, too."""
Seconds = Annotated[float, Field(ge=0, le=_MOST)]


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class Score:
    """Of so many episodes, with the 95 % interval over them."""

    mean: Figure
    low: Figure
    high: Figure
    team_return: Figure
    episodes: Count
    bits_per_agent_step: Figure | None
    """That agents sent one another; None: not known, or nothing is sent."""
    missed_deadlines: Count
    """Actions that came too late and were left out: on a machine that is too busy, a score is not the team's."""


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class SearchedScore:
    """Of so many episodes, with the 95 % interval over them."""

    mean: Figure
    low: Figure
    high: Figure
    episodes: Count


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class PolicyScores:
    """Of one policy at the end of training."""

    score: Score
    masked: Score | None
    """With every message masked; None where there are none, or it was not asked for."""
    permuted: Score | None = None
    """With the messages of another episode; None where there are none, or it was not asked for."""
    searched: SearchedScore | None = None
    """With a search over the whole team before every step; None where it was not asked for."""


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class CurvePoint:
    """One evaluation on the way."""

    env_steps: Count
    seconds: Seconds
    cpu_seconds: Seconds | None
    outcome: dict[str, Figure]
    """By policy."""
    team_return: dict[str, Figure]
    """By policy."""


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class RunResult:
    """The whole file."""

    campaign: str
    world: str
    method: str
    variant: str | None
    seed: Count
    preset: str
    algorithm: str
    heliograph: str
    """Version that trained."""
    machine: str
    """Where processor seconds were counted."""
    ended: str
    """steps, time, outcome, or DIVERGED."""
    detail: str
    env_steps: Count
    seconds: Seconds
    """Wall time of training."""
    cpu_seconds: Seconds | None
    """Processor time of training, its evaluations on the way included; None: not counted."""
    measure: str
    """What outcomes are: won, arrived, return, …"""
    blind_bound: Figure | None
    """Outcome that a team which cannot hear reaches at most, or was found to reach; None: not known."""
    blind_bound_measured: bool = False
    """See `EnvironmentSpec.blind_bound_measured`."""
    lost_episodes: Count
    evaluation_seed: Count
    by_processes: bool
    scores: dict[str, PolicyScores]
    """By policy; none if it diverged."""
    curve: list[CurvePoint]
    settings: dict[str, Any]
    """By dotted key, without those of the machine."""
    digest: str
    """Of the settings."""
    parameters: Count | None = None
    """Weights of all its networks; None: not counted, as in results of before, or it diverged."""

    @property
    def label(self) -> str:
        return self.method if self.variant is None else f"{self.method}/{self.variant}"


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The curve as the file holds it: a list per column, so that it stays small and a person can read it."""

    points: Sequence[CurvePoint]

    def document(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "env_steps": [point.env_steps for point in self.points],
            "seconds": [round(point.seconds, 1) for point in self.points],
            "cpu_seconds": [_rounded(point.cpu_seconds, 1) for point in self.points],
        }
        for name in ("outcome", "team_return"):
            policies = dict.fromkeys(policy for point in self.points for policy in getattr(point, name))
            for policy in policies:
                columns[f"{policy}_{name}"] = [_rounded(getattr(p, name).get(policy), 4) for p in self.points]
        return columns


def write_result(path: Path, result: RunResult) -> None:
    """Replace the file in one go, and make its folder.  Raises OutputFailed."""
    fields = asdict(result) | {"curve": _Columns(points=result.curve).document()}
    text = json.dumps(RESULT.document(fields), indent=2, allow_nan=False)
    # A list of numbers in one line: strings hold no line ends, so nothing else begins so.
    text = re.sub(r"\[\n[\s\d.,eE+\-nul]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text.replace("[ ", "[").replace(" ]", "]") + "\n")
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", remedy=remedy_for(error)) from error


def read_result(path: Path) -> RunResult | None:
    """None where there is no file.  Raises SettingsError for one that is none, or of another version."""
    return RESULT.find(path, _parsed, limit=SMALL)


_RESULT = TypeAdapter(RunResult)


def _parsed(fields: dict[str, Any]) -> RunResult:
    """Raises ValueError or KeyError for what `write_result` does not write."""
    columns = fields["curve"]
    names = [*fields["settings"], *fields["scores"], *columns]
    if not all(map(str.isprintable, [*names, *(value for value in fields.values() if isinstance(value, str))])):
        raise ValueError("it holds text that would steer the terminal")
    known = {"env_steps", "seconds", "cpu_seconds"}
    policies = {name: name.rpartition("_outcome")[0] for name in columns if name.endswith("_outcome")}
    returns = {name: name.rpartition("_team_return")[0] for name in columns if name.endswith("_team_return")}
    if unknown := sorted(set(columns) - known - set(policies) - set(returns)):
        raise ValueError(f"its curve has {', '.join(unknown)}, which is unknown")
    count = len(columns["env_steps"])
    if any(len(column) != count for column in columns.values()):
        raise ValueError("the columns of its curve are not of one length")
    points = [
        {
            **{name: columns[name][at] for name in known},
            "outcome": _present(columns, policies, at),
            "team_return": _present(columns, returns, at),
        }
        for at in range(count)
    ]
    try:
        return _RESULT.validate_python({**fields, "curve": points})
    except ValidationError as error:
        raise ValueError(cause_of(error)) from None


def _present(columns: Mapping[str, Any], names: Mapping[str, str], at: int) -> dict[str, Any]:
    return {policy: columns[name][at] for name, policy in names.items() if columns[name][at] is not None}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
