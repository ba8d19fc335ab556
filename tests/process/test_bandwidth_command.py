"""`heliograph bandwidth` on real processes: layers are measured, and Ctrl-C keeps what is finished."""

import csv
import gzip
import json
import signal
import subprocess
import sys
import time

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from coordinator.bandwidth.command import COMMAND
from heliograph import cli

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return save_team(relay_bundles(2, length=6), tmp_path_factory.mktemp("team") / "bundles")


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
    command = [sys.executable, "-m", "heliograph", "bandwidth", str(bundles), "--local", "--episodes", "8"]
    command += ["--sweep", "erasure=0.1,0.2,…,1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    cells, end = tmp_path / "cells", time.monotonic() + DEADLINE_S
    while not any(cells.glob("*.json")):
        assert process.poll() is None
        assert time.monotonic() < end
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, said
    assert "--resume goes on" in said
    kept = {path: path.read_bytes() for path in cells.glob("*.json")}
    assert 0 < len(kept) < 12
    assert not list(tmp_path.rglob("*.part"))
    swept = json.loads((tmp_path / "report.json").read_text())["sweep"]
    assert swept["cells"] == {"finished": len(kept), "all": 12}
    assert (tmp_path / "report.html").exists()

    arguments = ["bandwidth", *command[4:], "--resume"]
    assert cli.run({"bandwidth": COMMAND}, arguments) == 0
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(list(cells.glob("*.json"))) == 12
