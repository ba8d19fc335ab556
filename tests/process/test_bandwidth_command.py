"""`heliograph bandwidth` on real processes: layers are measured, and Ctrl-C keeps what is finished."""

import csv
import gzip
import json
import subprocess
import sys

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from analysis.bandwidth.command import COMMAND
from heliograph import cli

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0

WITH_CTRL_C = """
import signal, sys
from analysis.bandwidth import sweep
from heliograph.cli import main

play, cells = sweep.run_cell, iter(range(3))

def play_or_press_ctrl_c(cell, *arguments, **options):
    if next(cells) == 2:
        signal.raise_signal(signal.SIGINT)
    return play(cell, *arguments, **options)

sweep.run_cell = play_or_press_ctrl_c
sys.exit(main(sys.argv[1:]))
"""
"""The command, in whose process somebody presses Ctrl-C when the third cell begins."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return save_team(relay_bundles(2, length=6), tmp_path_factory.mktemp("team") / "bundles")


@pytest.mark.usefixtures("teams_from_nothing")
def test_the_layers_of_a_run_of_processes_are_measured(bundles, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    arguments = ["bandwidth", str(bundles), "--episodes", "4", "--codec", "repeats", "--out", str(tmp_path)]
    assert cli.run({"bandwidth": COMMAND}, arguments) == 0
    assert "2 of 2 links conserve" in capsys.readouterr().out
    document = json.loads((tmp_path / "report.json").read_text())
    layers = {layer["name"]: layer for layer in document["layers"]}
    assert layers["protobuf"]["how"] == layers["gRPC / HTTP/2"]["how"] == "measured"
    sizes = [layer["bytes_per_message"] for layer in document["layers"][1:] if layer["bytes_per_message"] is not None]
    assert sizes == sorted(sizes)
    with gzip.open(tmp_path / "messages.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    for name, total in (("messages", "sent"), ("protobuf_bytes", "sent_bytes")):
        assert sum(int(row[name]) for row in rows) == sum(link[total] for link in document["links"]) > 0
    assert document["settings"]["codec"] == "repeats"


def test_ctrl_c_keeps_finished_cells_and_resume_goes_on(bundles, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = ["bandwidth", str(bundles), "--local", "--episodes", "8", "--sweep", "erasure=0.1,0.2,…,1"]
    arguments += ["--out", str(tmp_path)]
    command = [sys.executable, "-c", WITH_CTRL_C, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 130, ended.stderr
    assert "--resume continues" in ended.stderr
    cells = tmp_path / "cells"
    kept = {path: path.read_bytes() for path in cells.glob("*.json")}
    assert len(kept) == 2
    assert not list(tmp_path.rglob("*.part"))
    swept = json.loads((tmp_path / "report.json").read_text())["sweep"]
    assert swept["cells"] == {"finished": len(kept), "all": 12}
    assert (tmp_path / "report.html").exists()

    assert cli.run({"bandwidth": COMMAND}, [*arguments, "--resume"]) == 0
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(list(cells.glob("*.json"))) == 12
