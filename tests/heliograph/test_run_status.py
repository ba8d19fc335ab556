"""The state of a training run: one file, written in one go and read in one place, and what older folders tell."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.errors import SettingsError
from heliograph.run_status import RunState, RunStatus, read_status, write_status

FINISHED = RunStatus(state=RunState.FINISHED, env_steps=60, exit_code=0)


def earlier_run(path: Path, summary: str | None, *, target: float | None = None) -> Path:
    """A folder of the versions that wrote no status."""
    path.mkdir()
    (path / "settings.json").write_text(json.dumps({"schedule": {"stop_at_outcome": target}}))
    if summary is not None:
        (path / "summary.json").write_text(summary)
    return path


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.ABSENT])
def test_what_is_written_is_read_again_and_leaves_nothing_beside_it(state: RunState, tmp_path: Path) -> None:
    status = RunStatus(state=state, env_steps=5760, detail="as it was", limit_env_steps=60_000, limit_minutes=2.5)
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert f"{state} at step 5760, as it was" in status.in_words(tmp_path)


@pytest.mark.parametrize(
    ("summary", "target", "state", "env_steps"),
    [
        (None, None, RunState.INTERRUPTED, None),
        ('{"reason": "interrupted", "env_steps": 96}', None, RunState.INTERRUPTED, 96),
        ('{"reason": "steps", "env_steps": 96}', 0.9, RunState.FINISHED, 96),
        ('{"reason": "outcome", "env_steps": 96}', 0.9, RunState.FINISHED, 96),
        ('{"reason": "time", "env_steps": 96}', None, RunState.FINISHED, 96),
        ('{"reason": "time", "env_steps": 96}', 0.985, RunState.UNREACHED, 96),
    ],
)
def test_a_folder_of_an_earlier_version_is_understood_by_its_summary(
    summary: str | None, target: float | None, state: RunState, env_steps: int | None, tmp_path: Path
) -> None:
    found = read_status(earlier_run(tmp_path / "run", summary, target=target))
    assert (found.state, found.env_steps) == (state, env_steps)


def test_a_folder_without_a_run_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path / "nowhere").state is RunState.ABSENT
    assert read_status(tmp_path).in_words(tmp_path) == f"{tmp_path} holds no run"


WHOLE = {"format": "heliograph-run-status", "version": 1, "state": "finished", "env_steps": 60}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", r"status\.json"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it is no object, and what is read here is 'heliograph-run-status' of version 1"),
        (json.dumps(WHOLE | {"format": "another"}), "it is 'another' of version 1, and what is read here is"),
        (json.dumps(WHOLE | {"version": 2}), "it is 'heliograph-run-status' of version 2, and what is read"),
        (json.dumps(WHOLE | {"state": "tired"}), "'tired' is not a valid RunState"),
        (json.dumps(WHOLE | {"state": "absent"}), "is not written"),
        (json.dumps(WHOLE | {"env_steps": "60"}), "env_steps is '60'"),
        (json.dumps(WHOLE | {"mood\x1b[2J": "good"}), r"'mood\\x1b\[2J' is unknown"),
    ],
)
def test_a_status_that_is_none_is_refused_in_one_sentence(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(SettingsError, match=told) as caught:
        read_status(tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy.startswith("Use the version")


@pytest.mark.parametrize("minutes", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_clock_that_never_runs_out_is_none(minutes: str, tmp_path: Path) -> None:
    content = json.dumps(WHOLE | {"limit_minutes": 0}).replace('"limit_minutes": 0', f'"limit_minutes": {minutes}')
    (tmp_path / "status.json").write_text(content)
    found = read_status(tmp_path)
    assert found.limit_minutes is None
    write_status(tmp_path, found)
    assert read_status(tmp_path) == found


def test_what_a_file_tells_does_not_steer_the_terminal(tmp_path: Path) -> None:
    status = RunStatus(state=RunState.FAILED, detail="it \x1b[2Jfailed\nin two lines, \u202eas \u00fcsual")
    write_status(tmp_path, status)
    assert read_status(tmp_path).detail == status.detail
    assert status.in_words(tmp_path) == f"{tmp_path}: failed, it ?[2Jfailed in two lines, ?as \u00fcsual"


def test_a_summary_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*summary\.json"):
        read_status(earlier_run(tmp_path / "run", "{}"))


def test_health_tells_a_run_that_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_status(tmp_path, RunStatus(state=RunState.INTERRUPTED, env_steps=96))
    assert main(["health", "--run", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}: interrupted at step 96\n"
    write_status(tmp_path, FINISHED)
    assert main(["health", "--run", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: finished at step 60\n"


def test_health_waits_through_every_other_state_until_a_run_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    coming = [state for state in RunState if state is not RunState.ABSENT]

    def goes_on(_seconds: float) -> None:
        run.mkdir(exist_ok=True)
        write_status(run, RunStatus(state=coming.pop(0), env_steps=60))

    monkeypatch.setattr(time, "sleep", goes_on)
    assert main(["health", "--run", str(run), "--wait", "600"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{run}: finished at step 60\n"
    assert [line.partition("run")[2] for line in told.err.splitlines()] == [
        " holds no run",
        ": running at step 60",
        ": interrupted at step 60",
        ": failed at step 60",
        ": target not reached at step 60",
    ]


@pytest.mark.parametrize("arguments", [[], ["127.0.0.1:1", "--run", "run"]])
def test_health_is_of_one_thing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", *arguments]) == 2
    assert "say whom to ask" in capsys.readouterr().err
