"""The example for real sensors and actuators runs as it is: two processes, real sockets, no coordinator."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scripted_bundle import save_team, scripted_team

EXAMPLE = Path(__file__).parents[2] / "examples" / "robots.py"


def test_two_robots_hear_each_other_without_a_coordinator(tmp_path: Path) -> None:
    folder = save_team(scripted_team(team_size=2), tmp_path / "bundles")
    ended = subprocess.run([sys.executable, EXAMPLE, folder], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    told = re.findall(r"robot (\d): (\d+) steps, heard (\d+), missed (\d+), at [+-]\d", ended.stdout)
    assert sorted(robot for robot, *_ in told) == ["0", "1"], ended.stdout
    for _, steps, heard, missed in told:
        # A loaded machine skips steps and misses deadlines; it never makes the robots deaf.
        assert 20 <= int(steps) <= 40
        assert int(heard) >= 10
        assert int(heard) + int(missed) <= int(steps) - 1


def test_robots_that_are_not_all_there_say_so_and_end_with_a_code(tmp_path: Path) -> None:
    folder = save_team(scripted_team(team_size=2), tmp_path / "bundles")
    (folder / "agent-1" / "step.onnx").unlink()
    ended = subprocess.run([sys.executable, EXAMPLE, folder], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "agent-1" in ended.stderr
    assert " steps, heard" not in ended.stdout
