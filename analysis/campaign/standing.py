"""How far every run of a campaign is, by its files alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from analysis.campaign.grid import Run
from analysis.campaign.harvest import METRICS
from analysis.campaign.places import Places
from analysis.campaign.planning import Plan, differences, goes_further
from analysis.campaign.result import DIVERGED, RunResult, read_result
from heliograph.errors import SettingsError
from heliograph.reading import LOG, open_plain, parse_json
from heliograph.run_status import SETTINGS, RunState, read_status

TAIL_BYTES = 64 * 2**10


class State(StrEnum):
    """What can be said of a run."""

    DONE = "done"
    DIVERGED = "diverged"
    """Its loss was no number any more: there is a result that says so, and no score."""
    DIFFERS = "differs"
    """There is a result, of other settings than the campaign's."""
    UNREADABLE = "unreadable"
    """There is a file in its result's place that is none."""
    FAILED = "failed"
    MEASURING = "measuring"
    """It is trained, and not yet evaluated."""
    BEGUN = "begun"
    ABSENT = "not begun"

    @property
    def is_settled(self) -> bool:
        """Nothing is to be done for it."""
        return self in (State.DONE, State.DIVERGED, State.DIFFERS, State.UNREADABLE)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one run is."""

    run: Run
    plan: Plan
    state: State
    result: RunResult | None = None
    """Of a run that is DONE or DIVERGED."""
    detail: str = ""
    """Why it is not DONE, as a sentence without a full stop, where there is something to tell."""
    env_steps: int | None = None
    """That are trained; None: not known."""
    cpu_seconds: float | None = None
    seconds: float | None = None


def standings(runs: Iterable[Run], plans: Mapping[str, Plan], places: Places) -> list[Standing]:
    """Of every run; `plans` are by the name of their cell."""
    return [standing(run, plans[run.cell.name], places) for run in runs]


def standing(run: Run, plan: Plan, places: Places) -> Standing:
    """How far a run is: by its result if there is one, else by its folder."""
    try:
        result = read_result(places.result(run))
    except SettingsError as error:
        return Standing(run=run, plan=plan, state=State.UNREADABLE, detail=error.message)
    folder = places.folder(run)
    if result is not None and not _can_go_on(result, plan, folder):
        return _of_result(run, plan, result, places.result(run))
    try:
        status = read_status(folder)
    except SettingsError as error:
        return Standing(run=run, plan=plan, state=State.FAILED, detail=error.message)
    if status.state is RunState.ABSENT:
        return Standing(run=run, plan=plan, state=State.ABSENT)
    last = last_record(folder)
    failed = status.state is RunState.FAILED
    trained = status.ended and result is None
    state = State.MEASURING if trained else State.FAILED if failed else State.BEGUN
    return Standing(
        run=run,
        plan=plan,
        state=state,
        detail=status.detail if failed else "",
        env_steps=last.get("env_steps", status.env_steps),
        cpu_seconds=last.get("cpu_seconds"),
        seconds=last.get("seconds"),
    )


def last_record(folder: Path) -> dict[str, Any]:
    """The newest line of a run's metrics, and what earlier ones among the last say besides; empty if there is none."""
    found: dict[str, Any] = {}
    try:
        with open_plain(folder / METRICS, limit=LOG) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            lines = file.read().split(b"\n")
        for line in lines[:-1]:  # what follows the last line's end is not whole
            try:
                record = parse_json(line)
            except ValueError:  # the first one, cut off
                continue
            if isinstance(record, dict):
                found |= record
    except (OSError, ValueError):  # there is none yet, or what is in its place is none
        return {}
    return found


def _can_go_on(result: RunResult, plan: Plan, folder: Path) -> bool:
    """Whether a result is of a shorter budget, and the run is there to be trained further."""
    return result.ended != DIVERGED and goes_further(result.settings, plan) and (folder / SETTINGS).is_file()


def _of_result(run: Run, plan: Plan, result: RunResult, path: Path) -> Standing:
    known: dict[str, Any] = {
        "env_steps": result.env_steps,
        "cpu_seconds": result.cpu_seconds,
        "seconds": result.seconds,
    }
    told = _not_of(run, plan, result)
    if told:
        return Standing(run=run, plan=plan, state=State.DIFFERS, detail=f"{path} is of {told}", **known)
    state = State.DIVERGED if result.ended == DIVERGED else State.DONE
    return Standing(run=run, plan=plan, state=state, result=result, detail=result.detail, **known)


def _not_of(run: Run, plan: Plan, result: RunResult) -> str:
    """What else a result is of, in words; empty if it is the run's."""
    named = (result.world, result.method, result.variant, result.seed)
    if named != (run.cell.world, run.cell.method, run.cell.variant, run.seed):
        return f"another run: {result.label} in {result.world}, seed {result.seed}"
    if differing := differences(result.settings, plan):
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        return f"other settings: {', '.join(map(str, differing[:3]))}{more}"
    wanted = run.cell.evaluation
    if result.ended == DIVERGED:
        return ""
    missing = [policy for policy in wanted.policies if policy not in result.scores]
    if missing:
        return f"an evaluation without the {' and the '.join(missing)} policy"
    of_policies = [result.scores[policy] for policy in wanted.policies]
    if wanted.masked and any(each.masked is None and each.score.bits_per_agent_step for each in of_policies):
        return "an evaluation without masked messages"
    if wanted.permuted and any(each.permuted is None and each.score.bits_per_agent_step for each in of_policies):
        return "an evaluation without the messages of another episode"
    if wanted.search and any(each.searched is None for each in of_policies):
        return "an evaluation without a search"
    episodes = {score.score.episodes for score in result.scores.values()}
    if episodes != {wanted.episodes} or result.evaluation_seed != wanted.seed:
        return f"another evaluation: {', '.join(map(str, sorted(episodes)))} episodes of seed {result.evaluation_seed}"
    return ""
