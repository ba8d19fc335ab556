"""Results as marl-eval JSON, the exchange format of Gorsane et al. 2022 (arXiv 2209.10485), written, read and merged.

    {environment: {task: {algorithm: {run: {"step_0": {"step_count": 500, "won": [1.0, 0.0, ...], "return": [...]}, ...,
                                            "absolute_metrics": {"won": [...], "return": [...]}}}}}}

Names are lower case, because its readers look them up so.  A metric is a list with a number per evaluation episode, or
with their mean alone.  The absolute metrics come last: they are those of the best checkpoint, on many more episodes.
Any house may import this.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.errors import OutputFailed, SettingsError
from heliograph.reading import Unreadable, read_json
from heliograph.system_refusals import remedy_for
from heliograph.writing import replace_text

ABSOLUTE = "absolute_metrics"
STEP_COUNT = "step_count"
FAMILIES = ("smacv2", "smac", "smax")
"""Prefixes of ids that are followed by the name of a map."""

Metrics = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class EvaluatedStep:
    """One checkpoint of a run."""

    step_count: int
    """Environment steps of training."""
    metrics: Metrics
    """Name to one number per episode, or to their mean alone."""


@dataclass(frozen=True, kw_only=True)
class EvaluatedRun:
    """One training run of an algorithm."""

    environment: str
    task: str
    algorithm: str
    run: str
    steps: tuple[EvaluatedStep, ...] = ()
    absolute: Metrics = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What no two runs of a file share."""
        return self.environment, self.task, self.algorithm, self.run


def environment_and_task(identity: str, parameters: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """What the two outer names are for an environment of ours; parameters that were given make it another task.

    flatland-5 is (flatland, flatland-5), smax-3m (smax, 3m), mpe2.simple_spread_v3 (mpe2, simple_spread_v3).
    """
    name = identity.lower()
    family = next((family for family in FAMILIES if name.startswith(family) and name[len(family) :][:1] in "-/"), None)
    if family is not None and name != family:
        environment, task = family, name[len(family) + 1 :]
    elif "." in name or ":" in name:
        environment, _, task = name.replace(":", ".").rpartition(".")
    else:
        environment, task = name.partition("-")[0], name
    given = ",".join(f"{key}={value}" for key, value in sorted((parameters or {}).items()))
    return environment, f"{task}[{given.lower()}]" if given else task


def merge(*groups: Iterable[EvaluatedRun]) -> list[EvaluatedRun]:
    """All runs of all groups; of those with the same key, the last one."""
    return list({run.key: run for group in groups for run in group}.values())


def document(runs: Iterable[EvaluatedRun]) -> dict[str, Any]:
    """The JSON document, names in lower case.  Raises SettingsError if two runs share their names."""
    result: dict[str, Any] = {}
    for run in runs:
        table = result
        for name in run.key[:-1]:
            table = table.setdefault(name.lower(), {})
        if run.run.lower() in table:
            raise SettingsError(f"two runs are named {' / '.join(run.key)}", remedy="Give one of them another name")
        steps = sorted(run.steps, key=lambda step: step.step_count)
        table[run.run.lower()] = {
            f"step_{index}": {STEP_COUNT: step.step_count, **_lists(step.metrics)} for index, step in enumerate(steps)
        } | {ABSOLUTE: _lists(run.absolute)}
    return result


def write(path: Path, runs: Iterable[EvaluatedRun]) -> None:
    """Write a file, whole or not at all.  Raises OutputFailed, and as `document`."""
    text = json.dumps(document(runs), indent=2, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", remedy=remedy_for(error)) from error


def read(path: Path) -> list[EvaluatedRun]:
    """Read a file, ours or of any other writer.  Raises SettingsError that names the place that is not as it should."""
    try:
        content = read_json(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", remedy=remedy_for(error)) from error
    except Unreadable as error:
        raise SettingsError(f"{path} {error}") from None
    return [
        _run(content, place=(environment, task, algorithm, run), path=path)
        for environment, tasks in _table(content, path).items()
        for task, algorithms in _table(tasks, path, environment).items()
        for algorithm, runs in _table(algorithms, path, environment, task).items()
        for run in _table(runs, path, environment, task, algorithm)
    ]


def _run(content: dict[str, Any], *, place: tuple[str, str, str, str], path: Path) -> EvaluatedRun:
    environment, task, algorithm, run = place
    entries = _table(content[environment][task][algorithm][run], path, *place)
    steps = []
    for name, entry in entries.items():
        if name == ABSOLUTE:
            continue
        metrics = dict(_table(entry, path, *place, name))
        count = metrics.pop(STEP_COUNT, None)
        if isinstance(count, bool) or not isinstance(count, (int, float)) or count < 0:
            raise _wrong(path, (*place, name), f"{STEP_COUNT} is {count!r}")
        steps.append(EvaluatedStep(step_count=int(count), metrics=_numbers(metrics, path, *place, name)))
    return EvaluatedRun(
        environment=environment.lower(),
        task=task.lower(),
        algorithm=algorithm.lower(),
        run=run.lower(),
        steps=tuple(sorted(steps, key=lambda step: step.step_count)),
        absolute=_numbers(_table(entries.get(ABSOLUTE, {}), path, *place, ABSOLUTE), path, *place, ABSOLUTE),
    )


def _table(value: Any, path: Path, *place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, place, f"it is {type(value).__name__}, not an object")
    return value


def _numbers(metrics: dict[str, Any], path: Path, *place: str) -> dict[str, tuple[float, ...]]:
    """Lists of numbers; writers also leave single ones there, such as elapsed times, which count as lists of one."""
    found = {}
    for name, values in metrics.items():
        listed = values if isinstance(values, list) else [values]
        if not listed or not all(
            isinstance(value, (int, float)) and abs(value) <= sys.float_info.max for value in listed
        ):
            raise _wrong(path, (*place, name), "it is not a list of finite numbers")
        found[name.lower()] = tuple(float(value) for value in listed)
    return found


def _lists(metrics: Metrics) -> dict[str, list[float]]:
    return {name.lower(): [float(value) for value in values] for name, values in metrics.items()}


def _wrong(path: Path, place: tuple[str, ...], what: str) -> SettingsError:
    return SettingsError(
        f"{path} is not marl-eval JSON: at {' / '.join(place) or 'the top'} {what}",
        remedy="It holds environment / task / algorithm / run / step_0, with step_count and lists of numbers in each",
    )
