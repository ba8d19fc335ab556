"""`heliograph demo`: train on the relay task, run the team as processes with and without messages, show the table."""

from __future__ import annotations

import argparse
import itertools
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.plan.options import add_options, read_options
from coordinator.plan.settings import RunSettings
from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.errors import NodeFailed, SettingsError
from heliograph.output_arguments import output_file

if TYPE_CHECKING:
    from coordinator.plan.trust import Trust
    from coordinator.running.report import Report

LEAST_WON = 0.9
"""What a team that is shown must win of its episodes; the demo's task without messages: a ninth."""

STOP_DEADLINE_S = 20.0
"""How long an interrupted training may take to save its checkpoint."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        help="run folder; one that is there already is trained on if it is not finished, and then run; default: "
        "runs/demo, or the next free number",
    )
    parser.add_argument("--preset", default="relay-demo", help="training preset")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="of the training"
    )
    add_permission_arguments(parser)
    add_options(
        parser,
        RunSettings,
        only=("run_seed", "episodes"),
        help={
            "run_seed": "seed of the training and of the run",
            "episodes": "episodes with messages, and as many without",
        },
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the report to FILE; - for stdout")
    parser.add_argument(
        "--minimum-outcome",
        type=float,
        metavar="X",
        help=f"exit with code 1 if the team with its messages comes out below X; default: {LEAST_WON:g} where episodes "
        "are won, else none",
    )


def run(namespace: argparse.Namespace) -> int:
    from coordinator.commands.exit_status import deliver, minimum_exit_code
    from coordinator.plan.plan import make_plan
    from coordinator.running.distributed import run_processes
    from coordinator.running.launch_settings import LaunchSettings
    from heliograph.errors import INTERRUPTED_EXIT_CODE, TargetNotReached

    started = time.monotonic()
    folder = namespace.folder or _free_folder()
    print(f"1/2  training a team with preset {namespace.preset} into {folder}", file=sys.stderr, flush=True)
    code = _train(namespace, folder)
    if code != 0:
        if code in (INTERRUPTED_EXIT_CODE, TargetNotReached.exit_code):
            print(f"go on with the demo: {_again(namespace, folder)}", file=sys.stderr)
        return code
    trained = time.monotonic()
    bundles, permission = _trust(namespace).team(folder / "bundles")
    plan = make_plan(bundles, read_options(namespace, RunSettings, conditions=("open", "cut")), permission=permission)
    print(f"2/2  running {len(plan.bundles)} agents as processes over gRPC", file=sys.stderr, flush=True)
    report = run_processes(plan, LaunchSettings())
    finished = time.monotonic()
    seconds = {"training": trained - started, "running": finished - trained, "total": finished - started}
    deliver(report.as_dict() | {"seconds": seconds}, namespace.json, show=lambda: print_result(report, seconds))
    if report.interrupted:
        return INTERRUPTED_EXIT_CODE
    if report.endings:
        return NodeFailed.exit_code
    minimum = namespace.minimum_outcome
    if minimum is None and report.summaries[0].measure == "won":
        minimum = LEAST_WON
    return minimum_exit_code(report, minimum)


def _again(namespace: argparse.Namespace, folder: Path) -> str:
    """The command that goes on with this folder."""
    words = ["heliograph", "demo", "--folder", str(folder), "--preset", namespace.preset, "--seed", str(namespace.seed)]
    return shlex.join([*words, *_repeated(namespace)])


def _free_folder() -> Path:
    """The first of runs/demo, runs/demo-2, … that does not exist, so that a demo never touches an earlier run."""
    numbers = itertools.count(2)
    folder = Path("runs/demo")
    while folder.exists():
        folder = Path(f"runs/demo-{next(numbers)}")
    return folder


def _trust(namespace: argparse.Namespace) -> Trust:
    """The bundles' world is what the training's arguments name."""
    from coordinator.plan.trust import Trust

    return Trust(user=permission_of(namespace).also_in_settings(namespace.overrides))


def _repeated(namespace: argparse.Namespace) -> list[str]:
    """What of the arguments is for the training, too."""
    given = {
        "--set": namespace.overrides,
        "--allow-environment": namespace.allow_environment,
        "--allow-parameter": namespace.allow_parameter,
    }
    return [word for option, values in given.items() for value in values for word in (option, value)]


def _train(namespace: argparse.Namespace, folder: Path) -> int:
    """Run the training command with its own progress; it has torch, this process does not need it."""
    command = [sys.executable, "-P", "-m", "heliograph", "train", "--preset", namespace.preset]
    command += ["--folder", str(folder), "--seed", str(namespace.seed), "--resume-or-start"]
    command += _repeated(namespace)
    try:
        # Stdout is for the demo's own table or JSON.
        process = subprocess.Popen(command, stdout=sys.stderr)
    except OSError as error:
        raise SettingsError(f"cannot start the training: {error.strerror}") from error
    try:
        # Its steps are limited, and it tells how long they still take.
        return process.wait()
    finally:
        # After Ctrl-C the terminal has interrupted the training too; it saves and ends by itself.
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def print_result(report: Report, seconds: dict[str, float]) -> None:
    """The demo's table; of a run that was stopped before both conditions had something, the table of any run."""
    from coordinator.running.report import print_report, remarks, score
    from heliograph import display
    from heliograph.figures import written

    if len(report.summaries) != 2:
        print_report(report)
        return
    console = display.console()
    heard, masked = report.summaries
    table = display.table(f"{report.agents} agents as processes, {report.environment}", "", "result")
    for label, cell in (
        ("success with messages", score(heard, heard.outcome)),
        ("success with every message masked", score(masked, masked.outcome)),
        ("bound without communication", "" if report.blind_bound is None else f"{report.blind_bound:.3f}"),
        ("bits per agent-step", written(heard, "bits_per_agent_step", "{:.1f}".format)),
        ("step latency p50", _milliseconds(heard.latency_p50_s)),
        ("step latency p99", _milliseconds(heard.latency_p99_s)),
        ("masked messages", f"{heard.masked} of {heard.hearable}"),
        ("late messages", written(heard, "late")),
        ("episodes over gRPC", f"{heard.episodes} + {masked.episodes}"),
        ("training", f"{seconds['training']:.0f} s"),
        ("total time", f"{seconds['total']:.0f} s"),
    ):
        if cell:
            table.add_row(label, cell)
    console.print(table)
    for line in remarks(report):
        console.print(line, highlight=False, markup=False)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f} ms"


COMMAND = Command(
    summary="train, export and run a small team, and show what its messages are worth", configure=configure, run=run
)
