"""A team whose nodes are forked of a template plays, loses a node and ends as one whose nodes begin one by one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from awaited_output import await_line
from child_environment import importing_test_modules
from relay_team import PATIENT_WORDS, relay_bundles, relay_plan
from scripted_bundle import save_team

from coordinator.recording.reader import read_trace
from coordinator.running import node_team
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.serving.node_template import ForkedProcess
from coordinator.serving.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has what forking nodes takes")

DEADLINE_S = 60
FORKING = (
    "from coordinator.running import node_team; node_team.pays = lambda nodes: True; "
    "from heliograph.cli import main; raise SystemExit(main())"
)
"""The command, on a machine of so few cores that its nodes are forked."""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("bundles"))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize("transport", ["lean", "grpcio"])
def test_it_plays_the_same_episodes_and_leaves_nobody_behind(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = list[type]()
    start = Supervisor.start

    def noting(self: Supervisor, slot: int) -> None:
        start(self, slot)
        kinds.append(type(self.process(slot)))

    monkeypatch.setattr(Supervisor, "start", noting)
    before, recorded = children(), []
    for forked in (True, False):
        monkeypatch.setattr(node_team, "pays", lambda nodes, forked=forked: forked)
        trace = tmp_path / f"{forked}.jsonl"
        plan = relay_plan(3, episodes=4, record=trace)
        report = asyncio.run(run(plan, LaunchSettings(transport=transport), stop=asyncio.Event()))
        assert report.endings == ()
        (summary,) = report.summaries
        assert (summary.episodes, summary.masked, summary.missing) == (4, 0, 0)
        recorded.append([(episode.action, episode.latent) for episode in read_trace(trace).episodes])
    for (action, latent), (other_action, other_latent) in zip(*recorded, strict=True):
        np.testing.assert_array_equal(action, other_action)
        np.testing.assert_array_equal(latent, other_latent)
    assert kinds == [ForkedProcess] * 3 + [subprocess.Popen] * 3
    assert children() == before


def test_one_that_is_killed_is_started_again(tmp_path: Path, team: Path) -> None:
    report = tmp_path / "report.json"
    words = ["run", "--bundles", str(team), "--episodes", "1000000", "--restarts", "1", "--json", str(report)]
    process = begun(*words)
    with process:
        pids = [int(await_line(process, "started slot=", deadline_s=DEADLINE_S).split("pid=")[1].split()[0])]
        await_line(process, "running address", deadline_s=DEADLINE_S)
        os.kill(pids[0], signal.SIGKILL)
        said = await_line(process, "started slot=", deadline_s=DEADLINE_S)
        assert re.search(r"started slot=0 pid=(\d+)", said)
        await_line(process, "node joined", deadline_s=DEADLINE_S)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    endings = json.loads(report.read_text())["endings"]
    assert [(ending["slot"], ending["exit_code"]) for ending in endings] == [(0, -signal.SIGKILL)]


def test_nobody_outlives_a_coordinator_that_is_killed(team: Path) -> None:
    process = begun("run", "--bundles", str(team), "--episodes", "1000000", "--rejoin-s", "3600")
    with process:
        await_line(process, "running address", deadline_s=DEADLINE_S)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) == 3, "two nodes and their template"
        process.kill()
        gone, there = psutil.wait_procs(below, timeout=DEADLINE_S)
        assert (len(gone), there) == (3, [])


def begun(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FORKING, *words, *PATIENT_WORDS, "--log-level", "info"],
        env=importing_test_modules(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
