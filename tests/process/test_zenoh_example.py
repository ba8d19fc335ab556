"""The example of robots behind Zenoh runs: a process per node, robots that know nothing of bundles."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from scripted_bundle import save_team, scripted_team

pytest.importorskip("zenoh")
EXAMPLE = Path(__file__).parents[2] / "examples" / "zenoh_robots.py"
UNHURRIED = Path(__file__).with_name("unhurried_robots.py")
DEADLINE_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_team(scripted_team(team_size=2), tmp_path / "bundles")


@pytest.mark.slow
def test_two_robots_act_by_what_they_see_and_stop_at_the_end(folder: Path) -> None:
    command = [sys.executable, UNHURRIED, "zenoh_robots", folder]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    told = re.findall(r"robot (\d): (\d+) actions, at [+-][\d.]+, stopped: (.*)", ended.stdout)
    assert [robot for robot, *_ in told] == ["0", "1"], ended.stdout
    for _, actions, stopped in told:
        assert 5 <= int(actions) <= 40  # what a slow network would hold up is dropped
        assert stopped == "the node has ended"


@pytest.mark.slow
def test_bundles_that_are_not_there_are_said(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, EXAMPLE, tmp_path], capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert str(tmp_path / "agent-0") in sentence


@pytest.mark.slow
def test_the_robot_of_a_killed_node_stops_by_itself(folder: Path) -> None:
    over = folder / "over"
    with subprocess.Popen(
        [sys.executable, UNHURRIED, "zenoh_robots", folder, over],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as example:
        hang = threading.Timer(DEADLINE_S, example.kill)
        hang.start()
        try:
            assert example.stdout is not None
            assert example.stdout.readline() == "both nodes see their robot and each other\n"
            nodes = [
                child
                for child in psutil.Process(example.pid).children()
                if any("spawn_main" in word for word in child.cmdline())
            ]
            assert len(nodes) == 2
            nodes[0].kill()
            over.touch()
            told, errors = example.communicate()
        finally:
            hang.cancel()
    assert example.returncode == 9, errors
    stops = sorted(re.findall(r"stopped: (.*)", told))
    assert stops[1] == "the node has ended"
    assert stops[0] in ("nothing came for 0.5 s", "")  # nothing, of a node that was killed before its first action
    assert stops[0] or re.search(r": 0 actions", told)


def test_a_node_that_cannot_start_ends_the_example(folder: Path) -> None:
    (folder / "agent-1" / "step.onnx").unlink()
    ended = subprocess.run([sys.executable, EXAMPLE, folder], capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode != 0
    assert "agent-1" in ended.stderr
