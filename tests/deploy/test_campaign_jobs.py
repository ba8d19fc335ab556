"""`heliograph campaign render`: valid Jobs for Kubernetes, one for each run that is left, under names that stay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.campaign import standing
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
    file = tmp_path / "try it.toml"  # no key of a ConfigMap
    file.write_text(CAMPAIGN)
    items = rendered(file, capsys, "--gpus", "1", "--cpus", "1.5")
    for item in items:
        schemas.validate(item, SCHEMA, strict=True)
    config, *jobs = items
    assert config["data"] == {"campaign.toml": CAMPAIGN}
    names = [job["metadata"]["name"] for job in jobs]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() and name.islower() for name in names)
    container = jobs[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:5] == ["campaign", "work", "/settings/campaign.toml", "--run", "relay/mappo/seed-0"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert items == rendered(file, capsys, "--gpus", "1", "--cpus", "1.5"), "applied again, nothing is begun twice"


def test_a_job_is_the_same_whichever_runs_are_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    before, settled = rendered(file, capsys), tmp_path / "out" / "results" / "relay" / "mappo"
    settled.mkdir(parents=True)
    for folder in (tmp_path / "out", tmp_path / "out" / "results"):
        (folder / "campaign.json").write_text('{"format": "heliograph-campaign", "version": 1, "campaign": "Try_1"}')
    (settled / "seed-0.json").write_text("no result, so that it is left alone")
    after = rendered(file, capsys)
    assert len(after) == len(before) - 1
    assert all(item in before for item in after), "what is applied again changes no Job, which Kubernetes refuses"
    file.write_text(CAMPAIGN.replace("Try_1", "Try_2"))
    others = rendered(file, capsys, "--out", str(tmp_path / "other"))
    assert not {item["metadata"]["name"] for item in others} & {item["metadata"]["name"] for item in before}


def test_a_pod_has_the_user_the_threads_and_the_packages_that_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    pod = rendered(file, capsys, "--cpus", "4")[1]["spec"]["template"]["spec"]
    # The images name their user, and by a name the kubelet cannot tell that it is not root.
    assert pod["securityContext"]["runAsUser"] == 10001
    assert {"name": "OMP_NUM_THREADS", "value": "4"} in pod["containers"][0]["env"]
    stage = (Path(__file__).parents[2] / "Dockerfile").read_text().split("AS campaign-build\n")[1].split("\nFROM")[0]
    assert all(f"COPY {package} {package}\n" in stage for package in ("agent_node", "coordinator", "analysis"))


def test_sizes_that_no_run_can_have_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    words = ["campaign", "render", str(file), "--image", "x", "--claim", "y", "--cpus", "0"]
    assert main(words) == 2
    assert "no run can have 0 processors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("replace", "sentence"),
    [
        (lambda file: None, "does not exist"),
        (os.mkfifo, "is a pipe, not a plain file"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8 at byte 0"),
    ],
    ids=["nothing", "a pipe", "no UTF-8"],
)
def test_what_took_the_files_place_meanwhile_is_named_and_not_waited_for(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    replace: Callable[[Path], object],
    sentence: str,
) -> None:
    """The campaign was read once already, to find its runs."""
    file = tmp_path / "try.toml"
    file.write_text(CAMPAIGN)
    find = standing.standings

    def find_and_replace(*given: Any) -> Any:
        file.unlink()
        replace(file)
        return find(*given)

    monkeypatch.setattr(standing, "standings", find_and_replace)
    words = ["campaign", "render", str(file), "--out", str(tmp_path / "out"), "--image", "x", "--claim", "y"]
    assert main(words) == 2
    assert f"settings file {file} {sentence}" in capsys.readouterr().err
