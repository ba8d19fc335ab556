"""JSON logs of a real run and of its nodes: whole lines, which say where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from relay_team import relay_bundles
from scripted_bundle import save_team


def test_a_run_and_its_nodes_say_everything_in_json(tmp_path: Path) -> None:
    team = save_team(relay_bundles(2), tmp_path / "bundles")
    command = [sys.executable, "-m", "heliograph", "run", "--bundles", str(team), "--episodes", "2", "--json", "-"]
    command += ["--log-format", "json", "--log-level", "info", "--log-folder", str(tmp_path / "logs")]
    command += ["--minimum-outcome", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    joined = {line["slot"]: line["run"] for line in lines if line["message"].startswith("node joined")}
    assert sorted(joined) == [0, 1]
    assert "is below the minimum" in lines[-1]["message"], "what is printed is a line, too"
    assert json.loads(ended.stdout)["interrupted"] is False
    for slot, run in joined.items():
        said = [json.loads(line) for line in (tmp_path / "logs" / f"agent-{slot}.log").read_text().splitlines()]
        assert {line["slot"] for line in said} == {slot}
        (left,) = [line for line in said if line["message"].startswith("left")]
        assert (left["run"], left["episode"]) == (run, 1)
        assert left["step"] > 0
