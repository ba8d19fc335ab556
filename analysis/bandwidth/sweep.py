"""Plays a grid cell by cell into a folder, so that what is finished stays, and goes on where it was left.

FOLDER/sweep.json     what is played; a folder goes on only with the same
FOLDER/cells/*.json   a finished or failed cell each
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.bandwidth.cell import Cell, CellResult, read_result, run_cell, write_result
from analysis.bandwidth.grid import Grid
from analysis.bandwidth.runs import PlanFactory
from analysis.bandwidth.workers import run_in_workers
from coordinator.observers.progress import Progress, counted_by
from coordinator.plan.options import identity
from coordinator.plan.settings import PERMUTED
from heliograph.documents import DocumentFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError

SWEEP = DocumentFormat(name="heliograph-sweep", version=1, what="the sweep", remedy="Name another folder: --out")
SETTINGS = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What to play, and where its cells go."""

    folder: Path
    grid: Grid
    plans: PlanFactory
    seeds: tuple[int, ...] = (0,)
    local: bool = False
    """In one process per cell, instead of one per agent."""
    jobs: int = 1
    """Local cells that are played side by side."""
    spec: EnvironmentSpec | None = None
    """Of the runs' world, by which bits are shares of a whole exchange; None: they are of nothing."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(f"seeds are at least one, each once, not {list(self.seeds)}")
        if not self.local and any(setting.links == PERMUTED for setting in self.grid.settings):
            raise SettingsError(
                "messages of another episode are for teams in one process, not for processes",
                remedy="Add --local-cells",
            )
        if self.jobs < 1 or (self.jobs > 1 and not self.local):
            raise SettingsError(
                f"{self.jobs} cells cannot run in parallel",
                remedy="Teams of processes run one after another, because their deadlines are in real time; "
                "add --local-cells",
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every setting for every run and seed; a setting's cells stand together, so that curves grow evenly."""
        return tuple(
            Cell(run=run.name, seed=seed, setting=setting)
            for setting in self.grid.settings
            for run in self.plans.runs
            for seed in self.seeds
        )

    def as_dict(self) -> dict[str, Any]:
        """What decides about the results: a folder whose sweep differs in it is another sweep."""
        plans = self.plans
        return {
            "runs": {run.name: [bundle.digest for bundle in run.bundles] for run in plans.runs},
            "seeds": list(self.seeds),
            "episodes": plans.settings.episodes,
            "greedy": plans.settings.greedy,
            "overrides": list(plans.overrides),
            "pace": dataclasses.asdict(plans.settings.pace),
            "as": "one process" if self.local else "processes",
            "settings": [str(setting) for setting in self.grid.settings],
            **identity(plans.settings, without=("episodes", "seed", "greedy", "passes", "codec", "channel", "late")),
        }


def run_sweep(sweep: Sweep, *, resume: bool, results: list[CellResult]) -> None:
    """Play what is not played yet and add every cell's result to `results`, those of earlier first.

    After Ctrl-C, which is raised again, they are the finished ones.  Failed cells are played again.  Raises
    SettingsError if the folder holds a sweep and `resume` is not asked for, or holds another sweep.
    """
    check_folder(sweep, resume=resume)
    SWEEP.write(sweep.folder / SETTINGS, sweep.as_dict())
    folder = sweep.folder / "cells"
    earlier = {cell: read_result(folder, cell) for cell in sweep.cells} if resume else {}
    results += [result for result in earlier.values() if result is not None and result.played is not None]
    done = {result.cell for result in results}
    left = [cell for cell in sweep.cells if cell not in done]
    if not left:
        return
    _check_plans(sweep, left)
    episodes = sweep.plans.settings.episodes
    finished: Counter[Cell] = Counter()
    with Progress(f"{len(left)} cells, episodes", total=len(left) * episodes) as bar:

        def advance(cell: Cell) -> None:
            finished[cell] += 1
            bar.advance()

        with closing(_results(sweep, left, advance)) as played:
            for result in played:
                write_result(folder, result)
                results.append(result)
                for _ in range(episodes - finished[result.cell]):  # which a failed cell did not come to
                    bar.advance()


def _results(sweep: Sweep, cells: list[Cell], advance: Callable[[Cell], None]) -> Generator[CellResult, None, None]:
    if sweep.jobs > 1:
        yield from run_in_workers(cells, sweep.plans, jobs=sweep.jobs, advance=advance)
        return
    for cell in cells:
        with counted_by(partial(advance, cell)):
            result = run_cell(cell, sweep.plans, local=sweep.local)
        yield result


def check_sweep(sweep: Sweep, *, resume: bool) -> None:
    """Before anything is measured: what `check_folder` raises, and whatever a cell's plan does."""
    check_folder(sweep, resume=resume)
    _check_plans(sweep, sweep.cells)


def _check_plans(sweep: Sweep, cells: Sequence[Cell]) -> None:
    """Make a plan of each kind, so that what cannot be run is told before any is played."""
    kinds = {(cell.run, cell.setting.links, cell.setting.late): cell for cell in reversed(cells)}  # the first of each
    for cell in kinds.values():
        sweep.plans(cell)


def check_folder(sweep: Sweep, *, resume: bool) -> None:
    """Raise SettingsError if the folder holds another sweep, or this one and `resume` is not asked for."""
    theirs = SWEEP.find(sweep.folder / SETTINGS, dict)
    if theirs is None:
        return
    if not resume:
        raise SettingsError(
            f"{sweep.folder} holds a sweep already", remedy="Continue it with --resume, or name another folder: --out"
        )
    different = differences(theirs, sweep.as_dict())
    if different:
        raise SettingsError(
            f"{sweep.folder} holds another sweep: {'; '.join(different)}",
            remedy="Give the same arguments to continue it, or name another folder: --out",
        )


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What differs between two sweeps' settings, in words."""
    return [_difference(key, there.get(key), here.get(key)) for key in here | there if there.get(key) != here.get(key)]


def _difference(key: str, there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        return ", ".join(
            _difference(f"{key} {name}", there.get(name), here.get(name))
            for name in here | there
            if there.get(name) != here.get(name)
        )
    if isinstance(there, list) and isinstance(here, list):
        gone, new = ([each for each in one if each not in other] for one, other in ((there, here), (here, there)))
        parts = [f"{word} {_some(names)}" for word, names in (("there also", gone), ("here also", new)) if names]
        return f"{key}: {', '.join(parts) or 'in another order'}"
    return f"{key}: {there!r} there, {here!r} here"


def _some(names: list[Any], *, limit: int = 3) -> str:
    return ", ".join(map(str, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")
