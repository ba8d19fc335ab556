"""`heliograph campaign` with real trainings and real teams: killed and begun again without loss or repetition."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import slurm_double
from tiny_team import SMALL_MAPPO, SMALL_MAZERO, SMALL_OF

from analysis.campaign.result import RunResult, read_result
from heliograph.cli import main
from heliograph.errors import TrainingError
from heliograph.run_status import RunState, read_status
from heliograph.settings import merge
from heliograph.toml_text import toml_document

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("warm_commands")]
HANG_S = 240.0


def write_campaign(
    folder: Path, *, seeds: str = "0", env_steps: int = 60, processes: bool = False, **more: Any
) -> Path:
    """A campaign of a small MAPPO on relay, in seconds; evaluated in one process unless that is what is tried."""
    settings = merge({}, [*SMALL_MAPPO, "checkpoint_minutes=0.0001"])
    document = {
        "name": "try",
        "seeds": seeds,
        "steps": [30, 60],
        "evaluation": {"episodes": 2, "policies": ["greedy"], "processes": processes},
        "worlds": {"w": {"preset": "{method}-relay-sighted", "env_steps": env_steps, "settings": settings}},
        "methods": {"mappo": {}},
        **more,
    }
    path = folder / "try.toml"
    path.write_text(toml_document(document))
    return path


def begun(file: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "heliograph", "campaign", str(file), "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_checkpoint(run: Path) -> None:
    """Until the training has something to go on from, and is not done."""
    deadline = time.monotonic() + HANG_S
    while not list((run / "checkpoints").glob("0*")):
        assert time.monotonic() < deadline, "there is no checkpoint"
        time.sleep(0.05)


def env_steps_of(run: Path) -> list[int]:
    """At each of its iterations."""
    return [json.loads(line)["env_steps"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def result(out: Path, name: str = "w/mappo/seed-0") -> RunResult:
    found = read_result(out / "results" / f"{name}.json")
    assert found is not None
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_campaign_goes_on_where_it_was_cut_off_and_further_with_a_larger_budget(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = write_campaign(tmp_path, env_steps=1500)
    out = tmp_path / "out"
    run = out / "runs" / "w" / "mappo" / "seed-0"
    with begun(file, out) as process:
        wait_for_checkpoint(run)
        process.send_signal(number)
        output, _ = process.communicate(timeout=HANG_S)
    if number == signal.SIGTERM:
        assert process.returncode == 130, output
        assert read_status(run).state is RunState.INTERRUPTED
        assert b"interrupted with 0 of 1 runs done; the same command goes on" in output
    assert not (out / "results" / "w").exists()
    assert main(["campaign", str(file), "--out", str(out)]) == 0
    assert "going on with" in (out / "runs" / "w" / "mappo" / "seed-0.log").read_text()
    found = result(out)
    assert (found.ended, found.env_steps) == ("steps", 1500)
    assert env_steps_of(run) == list(range(12, 1501, 12)), "none is missing, none is there twice"
    if number == signal.SIGTERM:
        return
    # A larger budget goes on with what is trained.
    assert main(["campaign", str(write_campaign(tmp_path, env_steps=1536)), "--out", str(out)]) == 0
    assert env_steps_of(run) == list(range(12, 1537, 12))
    assert "schedule.env_steps was 1500 and is 1536 from here on" in run.with_name("seed-0.log").read_text()
    assert [point.env_steps for point in result(out).curve] == list(range(24, 1537, 24))


@pytest.mark.drawn
def test_what_is_done_is_not_done_again_and_a_fresh_clone_goes_on_from_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, results = tmp_path / "out", tmp_path / "results"
    file = write_campaign(tmp_path, processes=True)
    command = ["campaign", str(file), "--results", str(results)]
    assert main([*command, "--out", str(out)]) == 0
    kept = results / "w" / "mappo" / "seed-0.json"
    before = kept.read_bytes()
    assert len(before) < 8_000
    file = write_campaign(tmp_path, seeds="0-1", processes=True)
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "clone"), "--jobs", "2", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["worlds"][0]["labels"]["mappo"]["found"] == 2
    assert document["missing"] == []
    assert kept.read_bytes() == before
    assert [path.name for path in (tmp_path / "clone" / "runs" / "w" / "mappo").glob("seed-?")] == ["seed-1"]
    found = read_result(kept)
    assert found is not None
    assert found.cpu_seconds is not None
    assert [point.cpu_seconds is not None for point in found.curve] == [True] * len(found.curve)
    summary = out / "runs" / "w" / "mappo" / "seed-0" / "summary.json"
    assert found.parameters == json.loads(summary.read_text())["parameters"] > 0
    assert {path.name for path in results.iterdir()} >= {"README.md", "report.json", "curves-greedy.png"}
    # With other settings the results are of another campaign, and nothing is overwritten.
    write_campaign(tmp_path, seeds="0-1", processes=True, methods={"mappo": {"settings": {"mappo": {"hidden": 24}}}})
    assert main([*command, "--out", str(tmp_path / "clone")]) == TrainingError.exit_code
    told = capsys.readouterr().err
    assert "2 of 2 runs have no score" in told
    assert "other settings: mappo.hidden 16, not 24" in told
    assert kept.read_bytes() == before


def test_a_run_that_fails_or_diverges_is_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverging = {"mappo": {"ppo": {"actor_learning_rate": 1e30, "critic_learning_rate": 1e30}}}
    file = write_campaign(tmp_path, variants={"wild": {"settings": diverging}, "calm": {"settings": {"threads": 1}}})
    out = tmp_path / "out"
    blocked = out / "runs" / "w" / "mappo" / "seed-0"
    assert main(["campaign", str(file), "--out", str(out), "--only", "method=mappo", "--dry-run"]) == 0
    assert not out.exists()
    (out / "runs" / "w" / "mappo").mkdir(parents=True)
    (out / "campaign.json").write_text(json.dumps({"format": "heliograph-campaign", "version": 1, "campaign": "try"}))
    blocked.write_text("no folder")
    assert main(["campaign", str(file), "--out", str(out), "--jobs", "2"]) == TrainingError.exit_code
    told = capsys.readouterr().err
    assert "2 of 3 runs have no score: " in told
    assert "w/mappo/seed-0 (failed)" in told
    assert result(out, "w/mappo+calm/seed-0").ended == "steps"
    wild = result(out, "w/mappo+wild/seed-0")
    assert (wild.ended, wild.scores) == ("diverged", {})
    assert wild.detail
    # What diverged would diverge again; what failed is tried again.
    blocked.unlink()
    before = os.stat(out / "results" / "w" / "mappo+wild" / "seed-0.json").st_mtime_ns
    assert main(["campaign", str(file), "--out", str(out)]) == TrainingError.exit_code
    assert "1 of 3 runs have no score: w/mappo+wild/seed-0 (diverged)" in capsys.readouterr().err
    assert os.stat(out / "results" / "w" / "mappo+wild" / "seed-0.json").st_mtime_ns == before
    assert result(out).ended == "steps"


def test_settings_are_tuned_by_runs_that_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    ranges = {"mappo.ppo.clip": {"low": 0.1, "high": 0.5}}
    out = tmp_path / "out"

    def tuned(trials: int) -> dict[str, Any]:
        file = write_campaign(tmp_path, tune={"method": "mappo", "trials": trials, "parameters": ranges})
        assert main(["campaign", "tune", str(file), "--out", str(out), "--json", "-"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    first = tuned(1)
    assert [trial["state"] for trial in first["trials"]] == ["scored"]
    kept = (out / "results" / "w" / "mappo+trial-000" / "seed-0.json").read_bytes()
    second = tuned(2)
    assert second["trials"][0] == first["trials"][0]
    assert [trial["state"] for trial in second["trials"]] == ["scored", "scored"]
    assert (out / "results" / "w" / "mappo+trial-000" / "seed-0.json").read_bytes() == kept
    found = result(out, "w/mappo+trial-001/seed-0")
    assert found.settings["mappo.ppo.clip"] == second["trials"][1]["values"]["mappo.ppo.clip"]


def test_a_method_that_plans_is_measured_with_its_search_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = merge({}, SMALL_MAZERO)
    world = {"preset": "{method}-relay-sighted", "env_steps": 24, "settings": settings}
    file = write_campaign(tmp_path, worlds={"w": world}, methods={"mazero": {"search": True}})
    out = tmp_path / "out"
    assert main(["campaign", str(file), "--out", str(out)]) == 0
    searched = result(out, "w/mazero/seed-0").scores["greedy"].searched
    assert searched is not None
    assert searched.episodes == 2
    assert "with a search" in (out / "results" / "README.md").read_text()
    # Its reports and its folder are read again where the result is gone; later versions' are refused by their version.
    run = out / "runs" / "w" / "mazero" / "seed-0"
    places = [*sorted((run / "measured").glob("*.json")), run / "settings.json"]
    assert len(places) == 3
    for path in places:
        (out / "results" / "w" / "mazero" / "seed-0.json").unlink(missing_ok=True)
        ours = path.read_text()
        path.write_text(re.sub(r'"((?:format_)?version)": 1,', r'"\1": 9,', ours, count=1))
        capsys.readouterr()
        assert main(["campaign", str(file), "--out", str(out)]) == TrainingError.exit_code
        log = re.search(r"exit code 2, see (\S+)", capsys.readouterr().err)
        assert log is not None
        refused = Path(log[1]).read_text().splitlines()[-1]
        assert re.search(r"of version 9, and what is read here is .*of version 1\. Use", refused), refused
        path.write_text(ours)
    assert main(["campaign", str(file), "--out", str(out)]) == 0


def test_a_team_that_talks_also_hears_another_episode_where_that_is_asked_for(tmp_path: Path) -> None:
    worlds = {
        method: {"preset": preset, "env_steps": 24, "settings": merge({}, SMALL_OF[method]), "methods": [method]}
        for method, preset in (("tarmac", "tarmac-relay"), ("mappo", "mappo-relay"))
    }
    evaluation = {"episodes": 3, "policies": ["greedy"], "processes": False, "permuted": True}
    file = write_campaign(tmp_path, worlds=worlds, methods={"tarmac": {}, "mappo": {}}, evaluation=evaluation)
    out = tmp_path / "out"
    assert main(["campaign", str(file), "--out", str(out)]) == 0
    talks = result(out, "tarmac/tarmac/seed-0").scores["greedy"]
    assert talks.permuted is not None
    assert talks.masked is not None
    assert (talks.permuted.episodes, talks.permuted.bits_per_agent_step) == (3, talks.score.bits_per_agent_step)
    assert result(out, "mappo/mappo/seed-0").scores["greedy"].permuted is None, "nobody says anything"
    assert "messages of another episode" in (out / "results" / "README.md").read_text()


def test_folders_of_others_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_campaign(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("years of work")
    assert main(["campaign", str(file), "--out", str(tmp_path / "theirs")]) == 2
    assert "is there, and no folder of a campaign (it has no campaign.json)" in capsys.readouterr().err
    (tmp_path / "theirs" / "campaign.json").write_text(
        json.dumps({"format": "heliograph-campaign", "version": 1, "campaign": "other"})
    )
    for flag in ("--out", "--results"):
        assert main(["campaign", str(file), flag, str(tmp_path / "theirs")]) == 2
        assert "is of the campaign 'other', not of 'try'" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["campaign.json", "thesis.tex"]


def test_a_killed_campaign_on_slurm_waits_for_the_jobs_that_it_left(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    binaries = slurm_double.install(cluster)
    environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "SLURM_DOUBLE": str(cluster)}
    file, out = write_campaign(tmp_path, env_steps=240), tmp_path / "out"
    words = ["campaign", str(file), "--out", str(out), "--on", "slurm", "--slurm", "partition=small", "time=10"]
    command = [sys.executable, "-P", "-m", "heliograph", *words]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        run = out / "runs" / "w" / "mappo" / "seed-0"
        deadline = time.monotonic() + HANG_S
        while not run.with_suffix(".slurm").exists():  # its job's number, kept from its submission to its end
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wait_for_checkpoint(run)
    finally:
        first.kill()
        first.wait()
    for why in ("the job goes on", "what is finished is not repeated"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S)
        assert done.returncode == 0, done.stderr
        assert len(list(cluster.glob("*.submitted"))) == 1, why
        assert result(out).env_steps == 240
