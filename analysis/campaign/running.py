"""Runs of a campaign wherever an executor has them, so many at a time, until nothing is left or to be waited for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from analysis.campaign.executors import Executor, Job
from analysis.campaign.grid import Run
from analysis.campaign.progress import CampaignProgress
from analysis.campaign.request import Request
from analysis.campaign.side_by_side import Ending, SideBySide
from analysis.campaign.standing import standings
from heliograph.stopping import handlers_kept


def run_all(request: Request, runs: Sequence[Run], *, jobs: int, executor: Executor) -> Ending:
    """Run what is left of `runs`; what is settled is left alone, and told if there is something to tell of it.

    Raises OutputFailed if the disk refuses a log.
    """
    before = standings(runs, request.plans, request.places)
    for each in before:
        if each.state.is_settled and each.detail:
            print(f"{each.run.name}: left alone, {each.state}: {each.detail}", file=sys.stderr)
    wanted = [each.run for each in before if not each.state.is_settled]
    with CampaignProgress(runs, request.plans, request.places, jobs=jobs) as progress, handlers_kept():
        side = SideBySide(
            executor,
            jobs=jobs,
            telling=progress,
            disk=request.places.out,
            may_begin=lambda: _spent(request),
        )
        return asyncio.run(side.run([(each, _job(request, each, executor.threads(jobs))) for each in wanted]))


def _spent(request: Request) -> str:
    """Why no further run may be begun by the campaign's budget; empty if one may."""
    limit = request.settings.cpu_hours
    if limit is None:
        return ""
    everything = standings(request.runs(), request.plans, request.places)
    spent = sum(each.cpu_seconds or 0.0 for each in everything) / 3600
    return f"the runs have taken {spent:.1f} processor hours of {limit:g}" if spent >= limit else ""


def _job(request: Request, run: Run, threads: int) -> Job:
    places = request.places
    command = [sys.executable, "-P", "-m", "heliograph", "campaign", "work", str(request.file), "--run", run.name]
    command += ["--out", str(places.out), "--results", str(places.results), *request.permission]
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    return Job(name=run.name, command=command, log=places.log(run), environment=environment)
