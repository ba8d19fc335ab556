"""`heliograph campaign FILE`: run what is left of the grid, then report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.campaign.request import Request, add_campaign_arguments, add_pace_arguments, check_pace, request_of
from heliograph.cli import Command
from heliograph.output_arguments import output_file

if TYPE_CHECKING:
    from analysis.campaign.executors import Executor
    from analysis.campaign.side_by_side import Ending
    from analysis.campaign.standing import Standing


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    add_pace_arguments(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="KIND=NAME",
        help="run world=…, method=…, variant=…, label=… or seed=0-2 alone; the report is of all",
    )
    parser.add_argument("--on", choices=("local", "slurm"), default="local", help="where the runs are processes")
    parser.add_argument(
        "--slurm",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="with --on slurm, of each job: partition=cpu time=600 cpus_per_task=4, and what else submitit knows",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the grid, how far it is and how long it takes")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="report, or grid, as JSON; - for stdout")


def complete(words: Sequence[str]) -> list[str]:
    """The file first, or an option before it that takes several values takes it for one of them."""
    named = [word for word in words if word.endswith(".toml") and not word.startswith("-") and "=" not in word]
    if len(named) != 1:
        return list(words)
    return [*named, *(word for word in words if word not in named)]


def run(namespace: argparse.Namespace) -> int:
    from analysis.campaign.running import run_all
    from analysis.campaign.standing import standings

    check_pace(namespace)
    request = request_of(namespace)
    runs = request.runs(namespace.only)
    if namespace.dry_run:
        from analysis.campaign.preview import show

        show(request.settings, standings(runs, request.plans, request.places), namespace.jobs, namespace.json)
        return 0
    executor = _executor(namespace)
    request.places.make()
    with request.places.claimed():
        ending = run_all(request, runs, jobs=namespace.jobs, executor=executor)
        found = standings(runs, request.plans, request.places)
        _report(request, namespace)
    return _exit(namespace, found, ending)


def _executor(namespace: argparse.Namespace) -> Executor:
    from analysis.campaign.executors import LocalProcesses
    from heliograph.errors import SettingsError

    if namespace.on == "slurm":
        if namespace.nice:
            raise SettingsError(
                "--nice is of processes of this machine",
                remedy="Leave it out, or give jobs a priority: --slurm additional_parameters.nice=100",
            )
        from analysis.campaign.slurm import slurm_jobs

        return slurm_jobs(namespace.slurm)
    if namespace.slurm:
        raise SettingsError("--slurm says how jobs run on Slurm", remedy="Add --on slurm")
    return LocalProcesses(nice=namespace.nice)


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


COMMAND = Command(
    summary="run what is left of a campaign, then report", configure=configure, run=run, complete=complete
)
