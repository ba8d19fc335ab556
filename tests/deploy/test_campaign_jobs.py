"""`heliograph campaign render`: valid Jobs for Kubernetes, one for each run that is left, under names that stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.cli import main

SCHEMA = "1.31"
CAMPAIGN = """
name = "Try_1"
seeds = "0-1"
[worlds.relay]
preset = "{method}-relay"
env_steps = 100
[methods.mappo]
[methods.ippo]
"""


def rendered(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict]:
    words = [
        "campaign",
        "render",
        str(file),
        "--out",
        str(file.parent / "out"),
        "--image",
        "trainer:1",
        "--claim",
        "runs",
    ]
    assert main([*words, *more]) == 0
    return json.loads(capsys.readouterr().out)["items"]


def test_what_is_rendered_is_valid_and_names_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    items = rendered(file, capsys, "--gpus", "1", "--cpus", "1.5")
    for item in items:
        schemas.validate(item, SCHEMA, strict=True)
    config, *jobs = items
    assert config["data"] == {"try.toml": CAMPAIGN}
    names = [job["metadata"]["name"] for job in jobs]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() and name.islower() for name in names)
    container = jobs[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:5] == ["campaign", "work", "/settings/try.toml", "--run", "relay/mappo/seed-0"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert items == rendered(file, capsys, "--gpus", "1", "--cpus", "1.5"), "applied again, nothing is begun twice"


def test_sizes_that_no_run_can_have_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    words = ["campaign", "render", str(file), "--image", "x", "--claim", "y", "--cpus", "0"]
    assert main(words) == 2
    assert "no run can have 0 processors" in capsys.readouterr().err
