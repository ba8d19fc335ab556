"""The learning test: `heliograph train --preset relay-signal` makes a team that talks, with the 32 x 32 message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.bundle import load_team


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
@pytest.mark.timeout(1200)  # a training that hangs; how long it takes is the machine's affair
def test_a_team_learns_to_talk_and_is_blind_without_messages(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-m", "heliograph", "train", "--preset", "relay-signal", "--folder", str(path)]
    command += ["--set", "schedule.stop_at_outcome=0.9"]  # the preset goes on until all episodes are won
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads((path / "summary.json").read_text())
    assert summary["greedy"]["episodes"] >= 1000
    assert summary["greedy"]["outcome"]["mean"] >= 0.9, done.stdout
    assert summary["links_cut"]["outcome"]["mean"] <= 0.35, done.stdout
    assert summary["blind_bound"] == 0.25
    message = load_team(path / "bundles")[0].manifest.message
    assert message is not None
    assert (message.categoricals, message.classes) == (32, 32)
