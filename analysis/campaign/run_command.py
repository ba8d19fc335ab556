"""`heliograph campaign FILE`: run what is left of the grid, then report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.campaign.request import Request, add_campaign_arguments, request_of
from heliograph.cli import Command

if TYPE_CHECKING:
    from analysis.campaign.executors import Job
    from analysis.campaign.grid import Run
    from analysis.campaign.side_by_side import Ending
    from analysis.campaign.standing import Standing


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="niceness of the runs, 0 to 19: others first")
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="KIND=NAME",
        help="run world=…, method=…, variant=…, label=… or seed=0-2 alone; the report is of all",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the grid, how far it is and how long it takes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="report, or grid, as JSON; - for stdout")


def run(namespace: argparse.Namespace) -> int:
    from analysis.campaign.standing import standings
    from heliograph.errors import SettingsError

    if namespace.jobs < 1:
        raise SettingsError(f"--jobs {namespace.jobs}: at least one run at a time")
    if not 0 <= namespace.nice <= 19:
        raise SettingsError(f"--nice {namespace.nice} is not in 0..19")
    request = request_of(namespace)
    runs = request.runs(namespace.only)
    if namespace.dry_run:
        from analysis.campaign.preview import show

        show(request.settings, standings(runs, request.plans, request.places), namespace.jobs, namespace.json)
        return 0
    request.places.make()
    with request.places.claimed():
        ending = _run(request, runs, namespace)
        found = standings(runs, request.plans, request.places)
        _report(request, namespace)
    return _exit(namespace, found, ending)


def _run(request: Request, runs: Sequence[Run], namespace: argparse.Namespace) -> Ending:
    import asyncio

    from analysis.campaign.executors import LocalProcesses
    from analysis.campaign.progress import CampaignProgress
    from analysis.campaign.side_by_side import SideBySide
    from analysis.campaign.standing import standings

    def may_begin() -> str:
        limit = request.settings.cpu_hours
        if limit is None:
            return ""
        everything = standings(request.runs(), request.plans, request.places)
        spent = sum(each.cpu_seconds or 0.0 for each in everything) / 3600
        return f"the runs have taken {spent:.1f} processor hours of {limit:g}" if spent >= limit else ""

    before = standings(runs, request.plans, request.places)
    for each in before:
        if each.state.is_settled and each.detail:
            print(f"{each.run.name}: left alone, {each.state}: {each.detail}", file=sys.stderr)
    wanted = [each.run for each in before if not each.state.is_settled]
    with CampaignProgress(runs, request.plans, request.places, jobs=namespace.jobs) as progress:
        side = SideBySide(
            LocalProcesses(nice=namespace.nice),
            jobs=namespace.jobs,
            telling=progress,
            disk=request.places.out,
            may_begin=may_begin,
        )
        return asyncio.run(side.run([(each, _job(request, each, namespace)) for each in wanted]))


def _job(request: Request, run: Run, namespace: argparse.Namespace) -> Job:
    import os

    from analysis.campaign.executors import Job

    places = request.places
    command = [sys.executable, "-P", "-m", "heliograph", "campaign", "work", str(namespace.file), "--run", run.name]
    command += ["--out", str(places.out), "--results", str(places.results), *request.permission]
    # Each run with threads for all cores would wait for the others at every step.
    threads = max(1, (os.cpu_count() or 1) // namespace.jobs)
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    return Job(name=run.name, command=command, log=places.log(run), environment=environment)


def _report(request: Request, namespace: argparse.Namespace) -> None:
    from analysis.campaign.report_command import report

    report(request, folder=request.places.results, json=namespace.json)


def _exit(namespace: argparse.Namespace, found: Sequence[Standing], ending: Ending) -> int:
    """0 if every run has its result, 130 after Ctrl-C; raises TrainingError that names the others."""
    from analysis.campaign.standing import State
    from heliograph.errors import INTERRUPTED_EXIT_CODE, OutputFailed, TrainingError

    done = sum(each.state is State.DONE for each in found)
    if ending.interrupted:
        print(
            f"interrupted with {done} of {len(found)} runs done; the same command goes on with the others",
            file=sys.stderr,
        )
        return INTERRUPTED_EXIT_CODE
    if ending.held:
        raise OutputFailed(
            f"{ending.held}; {done} of {len(found)} runs are done", remedy="Then the same command goes on"
        )
    missing = [each for each in found if each.state is not State.DONE]
    if missing:
        named = ", ".join(f"{each.run.name} ({each.state})" for each in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise TrainingError(
            f"{len(missing)} of {len(found)} runs have no score: {named}{more}",
            remedy="Their logs say why; the same command tries those again that have no result",
        )
    return 0


COMMAND = Command(summary="run what is left of a campaign, then report", configure=configure, run=run)
