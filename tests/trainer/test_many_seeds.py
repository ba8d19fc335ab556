"""`train --seeds`: a run for each seed as a process of its own, one table, and the same command goes on."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_team import SMALL

from heliograph.cli import main
from trainer.commands import many_seeds
from trainer.commands.many_seeds import SeedRun
from trainer.export.shared_graphs import FOLDER

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_commands")]
OVERRIDES = [word for text in SMALL for word in ("--set", text)]


def command(folder: Path, seeds: str, *more: str, env_steps: int = 48) -> list[str]:
    steps = ["--set", f"schedule.env_steps={env_steps}"]
    return ["train", "--preset", "relay-signal", *OVERRIDES, *steps, "--folder", str(folder), "--seeds", seeds, *more]


def test_a_run_that_fails_is_named_and_the_same_command_makes_up_for_it_and_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seed-0").write_text("in the way")
    assert main(command(tmp_path, "0,1", "--jobs", "2")) != 0
    out, err = capsys.readouterr()
    assert re.search(r"│\s+1 │ finished", out)
    assert "seed 0 ended with code" in err
    summary = tmp_path / "seed-1" / "summary.json"
    before = summary.stat().st_mtime_ns

    (tmp_path / "seed-0").unlink()
    assert main(command(tmp_path, "0-1")) == 0
    shown = capsys.readouterr().out
    assert re.search(r"2 seeds, \w+", shown)
    assert len(re.findall(r"│\s+[01] │ finished\s+│\s+48 │", shown)) == 2
    assert "final score: mean of 2" in shown
    seeds = [json.loads((tmp_path / f"seed-{seed}" / "settings.json").read_text())["seed"] for seed in (0, 1)]
    assert seeds == [0, 1]
    assert summary.stat().st_mtime_ns == before


def test_runs_share_what_they_trace_in_a_folder_that_is_theirs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[str, bool]] = []

    async def done(side: many_seeds._Side, runs: Sequence[SeedRun]) -> tuple[list[SeedRun], bool]:
        folder = side._environment[FOLDER]
        given.append((folder, Path(folder).is_dir()))
        return list(runs), False

    monkeypatch.setattr(many_seeds._Side, "by_side", done)
    monkeypatch.delenv(FOLDER)
    assert main(command(tmp_path, "0-1")) == 0
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert main(command(tmp_path, "0-1")) == 0
    (made, was_there), (named, _) = given
    assert was_there
    assert not Path(made).exists()
    assert named == str(tmp_path)


def test_ctrl_c_saves_every_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "heliograph", *command(tmp_path, "0,1,2", "--jobs", "2", env_steps=1_000_000)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        # A line of progress, with how far it is: both have begun to learn.
        logs = [tmp_path / f"seed-{seed}.log" for seed in (0, 1)]
        wait_for(lambda: all(log.exists() and re.search(r"\(\d+%", log.read_text()) for log in logs), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # it takes its runs along
            process.communicate(timeout=120)
    assert process.returncode == 130, err
    found = [json.loads((tmp_path / f"seed-{seed}" / "status.json").read_text()) for seed in (0, 1)]
    assert [each["state"] for each in found] == ["interrupted", "interrupted"]
    for seed, each in enumerate(found):
        assert re.search(rf"│\s+{seed} │ interrupted\s+│\s+{each['env_steps']} │\s+\d+\.\d │", out), out
    assert "not begun" in out
    assert all(list((tmp_path / f"seed-{seed}" / "checkpoints").iterdir()) for seed in (0, 1))


def test_an_interrupted_command_tells_one_that_goes_on_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Sequence[str]] = []

    async def stopped(side: many_seeds._Side, runs: Sequence[SeedRun]) -> tuple[list[SeedRun], bool]:
        given.append(side._arguments)
        return list(runs), True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(many_seeds._Side, "by_side", stopped)
    begun = ["train", "--preset", "relay-signal", "--set", "environment.parameters={agents=3}", "--seeds", "0-1"]
    assert main([*begun, "--jobs", "2"]) == 130
    told = capsys.readouterr().err
    folder = re.search("the runs are in (.+)", told)[1]
    program, *again = shlex.split(re.search("go on with: (.+)", told)[1])
    assert program == "heliograph"
    assert main(again) == 130
    assert f"the runs are in {folder}\n" in capsys.readouterr().err
    assert given[0] == given[1]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [Path(folder).name]


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    """Until it holds; the files of a process tell of no events."""
    while not condition():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--seeds", "0-1", "--seed", "3"], "--seeds begins a run for each seed"),
        (["--jobs", "2"], "--jobs 2 is for several runs"),
        (["--seeds", "0-1", "--jobs", "0"], "at least one run at a time"),
    ],
)
def test_what_does_not_go_together_is_said(more: list[str], named: str, tmp_path: Path, capsys) -> None:
    assert main(["train", "--preset", "relay-signal", "--folder", str(tmp_path), *more]) == 2
    assert named in capsys.readouterr().err
