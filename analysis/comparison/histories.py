"""What one run achieved over its environment steps, read from its folder or from a marl-eval file.

Axis legend: P evaluations of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.defaults import changed_parameters
from heliograph.errors import SettingsError
from heliograph.marl_eval import EvaluatedRun, environment_and_task
from heliograph.marl_eval import read as read_marl_eval
from heliograph.reading import SMALL, read_json, read_json_lines
from heliograph.run_format import run_fields
from heliograph.run_settings import MOST_NAMED, differing, kind_of_run
from heliograph.run_status import read_status

METRICS: Mapping[str, tuple[str, ...]] = {
    "outcome": ("won", "arrived", "outcome", "win_rate", "return"),
    "return": ("return", "episode_return", "mean_episode_return"),
}
"""What we compare, and what marl-eval files call it: the first of these names that a run has."""


FINAL, LAST = "final evaluation on fresh episodes", "last evaluation on the way"
"""What the score of a run is: the second where the first was not made."""


@dataclass(frozen=True, kw_only=True)
class RunScore:
    """What one run comes to."""

    value: float
    step: int | None
    """Environment steps of training before it; None: of the best checkpoint, whose step the file does not tell."""
    kind: str
    """FINAL or LAST."""


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """One run: one seed of whatever its label stands for."""

    source: str
    """Where it was read, for messages."""
    task: str
    label: str
    measure: str
    """What its values are: won, arrived, return, or outcome where the run does not say."""
    steps: npt.NDArray[np.int64]
    """int64 [P], ascending: environment steps at the evaluations."""
    values: npt.NDArray[np.float64]
    """float64 [P]."""
    final: float | None
    """After training, on episodes that no evaluation on the way has seen; None where that was not measured."""
    final_step: int | None = None
    """Environment steps of training before `final`; None where that is not known, or there is none."""
    seed: int | None = None
    settings: Mapping[str, Any] | None = None
    """Resolved; None for a run of a marl-eval file."""
    is_named: bool = False
    """Whoever compares has given it its label."""

    @property
    def untrained(self) -> bool:
        """A reference: it was evaluated before any training alone, and is the same at every step."""
        return len(self.steps) == 1 and int(self.steps[0]) == 0

    @property
    def score(self) -> RunScore:
        """The final evaluation where there is one, else the last one on the way; a run that stops early ends there."""
        if self.final is not None:
            return RunScore(value=self.final, step=self.final_step, kind=FINAL)
        return RunScore(value=float(self.values[-1]), step=int(self.steps[-1]), kind=LAST)


def read_run(path: Path, *, metric: str, policy: str, label: str | None, by: str | None) -> History:
    """Read a run folder; its label is `label`, else the value of the setting `by`, else its algorithm.

    Raises SettingsError if it is no run folder, lacks the setting, or was never evaluated.
    """
    try:
        return _run(path, metric=metric, policy=policy, label=label, by=by)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SettingsError(f"{path} is not as a training leaves it: {type(error).__name__} {error}") from error


def _run(path: Path, *, metric: str, policy: str, label: str | None, by: str | None) -> History:
    settings = run_fields(_json(path / "settings.json"), path / "settings.json")
    summary = _json(path / "summary.json") if (path / "summary.json").is_file() else {}
    key = f"evaluate/{policy}_{metric}"
    records = [record for record in _records(path / "metrics.jsonl") if key in record]
    # Of a run that goes on after its end, the summary is still that of the end before.
    ended = read_status(path).ended
    final = (summary.get("greedy") or {}) if policy == "greedy" and ended else {}
    if not records and metric in final:
        # It ended before the first evaluation on the way, and was evaluated once, at its end.
        records = [{"env_steps": _final_step(path, summary, ()), key: _mean(final[metric])}]
    if not records:
        raise SettingsError(
            f"{path} holds no evaluation of the {policy} policy",
            remedy="Train it further" if policy == "greedy" else "Train with --set evaluation.sampled=true",
        )
    world = dict(settings["environment"])
    parameters = changed_parameters(world["id"], world.get("parameters", {}))
    if by is not None and by.startswith("environment.parameters."):
        parameters.pop(by.removeprefix("environment.parameters."), None)  # it makes labels, not tasks
    is_named = label is not None
    if label is None:
        label = str(settings["algorithm"]) if by is None else _setting(settings, by, path)
    return History(
        source=str(path),
        task=_task(*environment_and_task(world["id"], parameters)),
        label=label,
        measure="return" if metric == "return" else str(summary.get("outcome_name", "outcome")),
        **_checked(
            path, [record["env_steps"] for record in records], [record[key] for record in records], final, metric
        ),
        final_step=_final_step(path, summary, records),
        seed=settings.get("seed"),
        settings=settings,
        is_named=is_named,
    )


def mixed_labels(histories: Sequence[History]) -> list[str]:
    """A sentence for each label that nobody has given, and that runs of several kinds have in one task."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for history in histories:
        if history.settings is not None and not history.is_named:
            kinds.setdefault((history.label, history.task), []).append(kind_of_run(history.settings))
    found = []
    for label, task in kinds:
        names = differing(kinds[label, task])
        more = f" and {len(names) - MOST_NAMED} settings more" if len(names) > MOST_NAMED else ""
        if names:
            found.append(
                f"runs labelled {label} differ in {', '.join(names[:MOST_NAMED])}{more}, and count as seeds of one "
                f"thing in {task}: tell them apart by LABEL=RUN, or by --by {names[0]}"
            )
    return found


def read_file(path: Path, *, metric: str, label: str | None) -> list[History]:
    """Read a marl-eval file; labels are its algorithms, after `label` if one is given and it holds several of them."""
    runs = read_marl_eval(path)
    if not runs:
        raise SettingsError(f"{path} holds no runs")
    several = len({run.algorithm for run in runs}) > 1
    return [
        _history(run, path, metric=metric, label=f"{label} {run.algorithm}" if label and several else label)
        for run in runs
    ]


def _history(run: EvaluatedRun, path: Path, *, metric: str, label: str | None) -> History:
    source = f"{path}:{'/'.join(run.key)}"
    known = {name for step in run.steps for name in step.metrics}
    name = next((name for name in METRICS[metric] if name in known), None)
    if name is None:
        raise SettingsError(
            f"{source} has no {metric}: it holds {', '.join(sorted(known)) or 'no steps'}",
            remedy=f"Names that are understood: {', '.join(METRICS[metric])}",
        )
    steps = [step for step in run.steps if name in step.metrics]
    final = {metric: float(np.mean(run.absolute[name]))} if name in run.absolute else {}
    return History(
        source=source,
        task=_task(run.environment, run.task),
        label=label or run.algorithm,
        measure=name,
        **_checked(
            source,
            [step.step_count for step in steps],
            [float(np.mean(step.metrics[name])) for step in steps],
            final,
            metric,
        ),
        # Of several checkpoints it is the best one's, and the format has no place for its step.
        final_step=steps[0].step_count if len(steps) == 1 else None,
    )


def _final_step(path: Path, summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> int:
    """Where the training ended, which is seldom where it was last evaluated on the way."""
    step = summary.get("env_steps", records[-1]["env_steps"] if records else None)
    if isinstance(step, bool) or not isinstance(step, int):
        raise SettingsError(f"{path}/summary.json: env_steps is {step!r}, not a number of steps")
    return step


def _task(environment: str, task: str) -> str:
    """Both names, unless the second says it all."""
    return task if task.startswith(environment) else f"{environment}/{task}"


def _checked(
    source: object, steps: Sequence[int], values: Sequence[float], final: Mapping[str, Any], metric: str
) -> dict[str, Any]:
    """Steps, values and the final value of a history, the steps ascending."""
    last = _mean(final.get(metric))
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all() or (last is not None and not np.isfinite(last)):
        raise SettingsError(f"{source} holds an evaluation that is not a finite number")
    order = np.argsort(steps, kind="stable")
    return {"steps": np.array(steps, dtype=np.int64)[order], "values": array[order], "final": last}


def _mean(found: Any) -> Any:
    """Of a number in summary.json, which gives outcomes with their interval."""
    return found["mean"] if isinstance(found, Mapping) else found


def _setting(settings: Mapping[str, Any], key: str, path: Path) -> str:
    """`name=value` of a setting, by its last name."""
    value: Any = settings
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(sorted(value)) if isinstance(value, Mapping) else "none"
            raise SettingsError(f"{path} has no setting {key!r}: nothing is called {part!r} (valid there: {known})")
        value = value[part]
    if isinstance(value, Mapping):
        raise SettingsError(f"{key} is a table of settings", remedy=f"Name one of {', '.join(sorted(value))} in it")
    return f"{key.rpartition('.')[2]}={value}"


def _records(path: Path) -> list[dict[str, Any]]:
    """What a run logged."""
    try:
        return read_json_lines(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path, limit=SMALL)
    except FileNotFoundError:
        raise SettingsError(f"{path.parent} is not a run folder (no {path.name} in it)") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path} holds no object")
    return document
