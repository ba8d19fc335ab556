"""The example for real sensors and actuators runs: two processes, real sockets, no coordinator."""

from __future__ import annotations

import re
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from scripted_bundle import save_team, scripted_team

EXAMPLE = Path(__file__).parents[2] / "examples" / "robots.py"
UNHURRIED = Path(__file__).with_name("unhurried_robots.py")


def test_two_robots_hear_each_other_without_a_coordinator(tmp_path: Path) -> None:
    folder = save_team(scripted_team(team_size=2), tmp_path / "bundles")
    command = [sys.executable, UNHURRIED, "robots", folder]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    told = re.findall(r"robot (\d): (\d+) steps, heard (\d+), missed (\d+), at [+-]\d", ended.stdout)
    assert sorted(told) == [("0", "40", "39", "0"), ("1", "40", "39", "0")], ended.stdout


def test_robots_that_are_not_all_there_say_so_and_end_with_a_code(tmp_path: Path) -> None:
    folder = save_team(scripted_team(team_size=2), tmp_path / "bundles")
    (folder / "agent-1" / "step.onnx").unlink()
    ended = subprocess.run([sys.executable, EXAMPLE, folder], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "robot 1: " in ended.stderr
    assert "agent-1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert " steps, heard" not in ended.stdout


def waiting(starter: Connection, _steps: int) -> None:
    """A robot that is ready, and ends when it is told to start."""
    from robots import told_start

    sys.exit(0 if told_start(starter) > 0 else 1)


@pytest.mark.slow
def test_a_robot_that_is_killed_before_the_start_keeps_nobody_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    import robots

    links, processes = zip(*(robots.begun(waiting, steps=0) for _ in range(2)), strict=True)
    assert robots.all_ready(links)
    processes[0].kill()
    processes[0].join()
    robots.tell_start(links)
    assert robots.exit_code(processes, within_s=60.0) == 9
    assert processes[1].exitcode == 0


@pytest.mark.slow
def test_a_robot_that_ends_before_it_is_ready_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    import robots

    links, processes = zip(*(robots.begun(target, steps=0) for target in (waiting, ended)), strict=True)
    assert not robots.all_ready(links)
    links[0].close()  # as when whoever started them ends
    assert robots.exit_code(processes, within_s=60.0) == 1
    assert processes[1].exitcode == 0


def ended(_starter: Connection, _steps: int) -> None:
    """A robot that never is ready."""
