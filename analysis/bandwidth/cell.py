"""One cell of a sweep: a team, a seed and a setting, played; and what came of it, as one JSON file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.bandwidth.exact import exact
from analysis.bandwidth.grid import Setting
from coordinator.plan.plan import Plan
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.running.report import Report
from heliograph.documents import DocumentFormat
from heliograph.errors import HeliographError, NodeFailed
from heliograph.figures import doubts

CELL = DocumentFormat(
    name="heliograph-bandwidth-cell", version=1, what="the cell", remedy="Remove it, and --resume runs it again"
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is played."""

    run: str
    """Name of the run folder whose bundles play."""
    seed: int
    setting: Setting

    @property
    def name(self) -> str:
        """Of its file: readable, and different for different cells."""
        setting = self.setting
        words = (
            [setting.links] if setting.links != "open" else [setting.channel or "clear", setting.codec, setting.late]
        )
        return re.sub(r"[^A-Za-z0-9.=_-]+", "-", "_".join([self.run, f"seed-{self.seed}", *words]))

    def __str__(self) -> str:
        return f"{self.run}, seed {self.seed}, {self.setting}"


@dataclass(frozen=True, kw_only=True)
class CellScores:
    """What a cell came to."""

    measure: str
    outcome: float
    low: float
    high: float
    """95 % interval over the episodes."""
    team_return: float
    episodes: int
    steps: int
    seconds: float
    sent_bits: float
    """Content of messages per agent and step, once per listener: latents as their codec counts them, and actions."""
    read_bits: float
    """Of them those that were read in time: neither lost nor late, nor out of hearing, nor after the last step."""
    messages: int
    lost: int
    """In the simulated channel."""
    late: int
    missing: int | None
    blind_bound: float | None
    blind_bound_measured: bool = False
    """See `EnvironmentSpec.blind_bound_measured`."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a cell has no result."""

    reason: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class CellResult:
    cell: Cell
    found: CellScores | Failure

    @property
    def played(self) -> CellScores | None:
        return self.found if isinstance(self.found, CellScores) else None

    @property
    def failure(self) -> Failure | None:
        return self.found if isinstance(self.found, Failure) else None


PlanOf = Callable[[Cell], Plan]


def run_cell(cell: Cell, plan_of: PlanOf, *, local: bool) -> CellResult:
    """Play a cell as processes, or in this one.  What goes wrong while it is played is its result, not an error.

    Raises KeyboardInterrupt after Ctrl-C: what was played of the cell is thrown away.
    """
    try:
        plan = plan_of(cell)
        report = evaluate(plan) if local else run_processes(plan, LaunchSettings())
    except HeliographError as error:
        return CellResult(cell=cell, found=Failure(reason=str(error), exit_code=error.exit_code))
    if report.interrupted:
        raise KeyboardInterrupt
    if report.endings:
        # The others went on without it, so what they scored is not what this cell asks for.
        failure = Failure(reason="; ".join(map(str, report.endings)), exit_code=NodeFailed.exit_code)
        return CellResult(cell=cell, found=failure)
    (summary,) = report.summaries
    if unsure := doubts(summary):
        failure = Failure(
            reason=f"its message counts are not exact: {'; '.join(unsure)}", exit_code=NodeFailed.exit_code
        )
        return CellResult(cell=cell, found=failure)
    return CellResult(cell=cell, found=_scores(report))


def _scores(report: Report) -> CellScores:
    (summary,) = report.summaries
    return CellScores(
        measure=summary.measure,
        outcome=summary.outcome.mean,
        low=summary.outcome.low,
        high=summary.outcome.high,
        team_return=summary.team_return.mean,
        episodes=summary.episodes,
        steps=summary.steps,
        seconds=summary.seconds,
        sent_bits=exact(summary.bits_per_agent_step),
        read_bits=exact(summary.read_bits_per_agent_step),
        messages=exact(summary.messages),
        lost=exact(summary.lost),
        late=exact(summary.late),
        missing=summary.missing,
        blind_bound=report.blind_bound,
        blind_bound_measured=report.blind_bound_measured,
    )


def write_result(folder: Path, result: CellResult) -> None:
    """Write the cell's file whole or not at all.  Raises SettingsError if the folder cannot be written."""
    fields = {
        "cell": dataclasses.asdict(result.cell),
        "played": None if result.played is None else dataclasses.asdict(result.played),
        "failure": None if result.failure is None else dataclasses.asdict(result.failure),
    }
    CELL.write(folder / f"{result.cell.name}.json", fields)


def read_result(folder: Path, cell: Cell) -> CellResult | None:
    """The result of a cell that was played before; None if it was not.  Raises SettingsError for a foreign file."""

    def parse(fields: dict[str, Any]) -> CellResult:
        if fields["cell"] != dataclasses.asdict(cell):
            raise ValueError("it is of another cell")
        found = Failure(**fields["failure"]) if fields["played"] is None else CellScores(**fields["played"])
        return CellResult(cell=cell, found=found)

    return CELL.find(folder / f"{cell.name}.json", parse)
