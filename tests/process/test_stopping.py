"""Ctrl-C and SIGTERM end every command that runs an environment within seconds, even where that never returns.

`train` with ranks, `--seeds` and `campaign`, which start processes that do, are held by tests of their own.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from child_environment import importing_test_modules
from scripted_bundle import save_team, scripted_team
from waiting_game import ANNOUNCEMENT

from coordinator.serving.supervisor import Supervisor, node_command
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

GAME = "waiting_game:make"
DEADLINE_S = 120
TRAIN = (
    *("train", "--preset", "mappo-relay", "--environment", GAME, "--folder", "run"),
    *("--set", "threads=1", "--set", "environment.copies=2", "--set", "schedule.steps_per_iteration=10"),
    *("--set", "evaluation.every=1", "--set", "evaluation.episodes=4", "--set", "evaluation.copies=2"),
)


def stuck(arguments: tuple[str, ...], folder: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Start a command, send it a signal when its environment says that it is stuck; exit code, stdout, stderr.

    Where it waits for nodes, it gets them, and what it leaves must end, too.
    """
    running = subprocess.Popen(
        [sys.executable, "-m", "heliograph", *arguments],
        cwd=folder,
        env=importing_test_modules() | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(DEADLINE_S, running.kill)
    watchdog.start()
    with ExitStack() as stack:
        stack.callback(running.kill)
        stack.callback(watchdog.cancel)
        assert running.stderr is not None
        seen, nodes = [], None
        for line in running.stderr:
            seen.append(line)
            if ANNOUNCEMENT in line:
                break
            if waited_for := re.search(r"waiting for (\d+) nodes at (\S+)", line):
                nodes = stack.enter_context(nodes_at(waited_for[2], log_folder=folder))
                for slot in range(int(waited_for[1])):
                    nodes.start(slot)
        else:
            pytest.fail(f"never stuck: {''.join(seen)}")
        children = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(number)
        out, err = running.communicate()
        assert not psutil.wait_procs(children, timeout=DEADLINE_S)[1]
        assert nodes is None or len(nodes.wait(timeout_s=DEADLINE_S)) == 2
    return running.returncode, out, err


def nodes_at(coordinator: str, *, log_folder: Path) -> Supervisor:
    return Supervisor(lambda slot: node_command(coordinator, slot, join_timeout_s=DEADLINE_S), log_folder=log_folder)


@pytest.mark.usefixtures("warm_commands")
def test_training_in_an_environment_that_never_returns_says_where_it_goes_on(tmp_path: Path) -> None:
    arguments = (*TRAIN, "--set", "environment.parameters={stuck_at=15}")
    code, _, err = stuck(arguments, tmp_path, signal.SIGTERM)
    assert code == 130, err
    assert "there is no checkpoint yet, so begin again with: heliograph train --resume run" in err
    assert "Traceback" not in err


def team(folder: Path, parameters: dict[str, int]) -> None:
    bundles = scripted_team(
        team_size=2, actions=3, observation_size=4, environment=GAME, environment_parameters=parameters
    )
    save_team(bundles, folder / "team")


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (("evaluate", "team", "--episodes", "100000"), signal.SIGTERM),
        (("evaluate", "team", "--episodes", "100000", "--jobs", "2"), signal.SIGINT),
        (("run", "--bundles", "team", "--episodes", "100000"), signal.SIGTERM),
        (("coordinator", "--bundles", "team", "--episodes", "100000", "--listen", "127.0.0.1:0"), signal.SIGTERM),
    ],
    ids=["evaluate", "jobs", "run", "coordinator"],
)
def test_a_team_whose_world_never_returns_is_stopped_with_what_it_has_finished(
    tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    team(tmp_path, {"stuck_at": 40})
    # The second process of two waits, too, while the first is stuck; so nothing may have been finished.
    given = (*arguments, "--environment", GAME, "--json", "report.json")
    code, _, err = stuck(given, tmp_path, number)
    assert code == 130, err
    assert "Traceback" not in err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["interrupted"]
    assert sum(summary["episodes"] for summary in report["summaries"]) < 40
    if "--jobs" not in arguments:
        assert report["summaries"][0]["episodes"] >= 40 // 5 - 1


def test_workers_that_are_still_at_a_step_end_with_the_training(tmp_path: Path) -> None:
    # What workers write reaches the terminal at this level alone.
    worlds = ("--set", "environment.workers=2", "--set", "environment.parameters={stuck_at=8}", "--log-level", "debug")
    code, out, err = stuck((*TRAIN, *worlds), tmp_path, signal.SIGINT)
    assert code == 130, (out, err)
    assert "heliograph train --resume run" in err


def test_a_check_of_an_environment_that_never_returns_is_stopped(tmp_path: Path) -> None:
    code, _, err = stuck(("environments", "check", GAME, "--set", "stuck_at=3"), tmp_path, signal.SIGTERM)
    assert code == 130, err
    assert err.strip().endswith("heliograph environments: interrupted")


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (("audit", "team", "--environment", GAME, "--json", "audit.json"), signal.SIGTERM),
        (("bandwidth", "measure", "team", "--allow-environment", GAME), signal.SIGINT),
        (("bandwidth", "measure", "team", "--allow-environment", GAME, "--local", "--sweep"), signal.SIGTERM),
        (("evaluate", "--reference", "random", "--environment", GAME, "--set", "stuck_at=3"), signal.SIGTERM),
    ],
    ids=["audit", "bandwidth", "bandwidth in one process", "reference"],
)
def test_what_else_plays_episodes_is_stopped(
    tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    team(tmp_path, {"stuck_at": 3})
    code, _, err = stuck(arguments, tmp_path, number)
    assert code == 130, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [("export", "run", "--out", "bundles"), ("dream", "run"), ("evaluate", "run", "--central")],
    ids=["export", "dream", "networks"],
)
def test_what_makes_the_environment_of_a_run_is_stopped_where_that_is_never_made(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    given = [f'environment.id="{GAME}"', "environment.parameters={stuck_when_made=true}"]
    RunFolder.create(tmp_path / "run", load_settings("relay", given))
    code, _, err = stuck((*arguments, "--allow-environment", GAME), tmp_path, signal.SIGTERM)
    assert code == 130, err
    assert "Traceback" not in err
    assert not (tmp_path / "bundles").exists()
