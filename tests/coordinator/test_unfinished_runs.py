"""Whoever takes bundles out of a run folder is told if its training is not finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from heliograph.cli import main
from heliograph.run_status import RunState, RunStatus, bundle_folder, write_status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_team(relay_bundles(2), tmp_path / "run" / "bundles")
    (tmp_path / "run" / "settings.json").write_text("{}")
    return tmp_path / "run"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("more", [[], ["--policy", "both"]])
def test_an_evaluation_says_of_which_state_it_is(run: Path, more: list[str], caplog: pytest.LogCaptureFixture) -> None:
    arguments = ["evaluate", str(run), "--episodes", "2", *more]
    write_status(run, RunStatus(state=RunState.INTERRUPTED, env_steps=5760))
    assert main(arguments) == 0
    assert warnings(caplog) == [f"of a training that is not finished: {run}: interrupted at step 5760"]
    caplog.clear()
    write_status(run, RunStatus(state=RunState.FINISHED, env_steps=12_000))
    assert main(arguments) == 0
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "command", [["evaluate"], ["evaluate", "--policy", "both"], ["audit"], ["bandwidth"], ["run", "--bundles"]]
)
def test_what_needs_bundles_that_are_not_there_yet_is_told_why(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.json").write_text("{}")
    write_status(tmp_path, RunStatus(state=RunState.RUNNING, env_steps=96))
    assert main([*command, str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path} has no bundles: its training has not ended ({tmp_path}: running at step 96)" in told
    assert f"heliograph export {tmp_path}" in told


@pytest.mark.parametrize("content", ["{", '{"format": "heliograph-run-status", "version": 2}'])
def test_a_status_that_cannot_be_read_keeps_nobody_from_the_bundles(
    run: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "status.json").write_text(content)
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    [warning] = warnings(caplog)
    assert warning.startswith(
        f"perhaps of a training that is not finished: cannot read the run's status {run / 'status.json'}: "
    )


@pytest.mark.parametrize("suffix", ["", ".tar"])
@pytest.mark.parametrize("beside", ["settings.json", "bundles/agent-0/manifest.json", "bundles/readme"])
def test_a_folder_that_holds_bundles_is_taken_as_it_was_named(tmp_path: Path, suffix: str, beside: str) -> None:
    for slot, bundle in enumerate(relay_bundles(2)):
        bundle.save(tmp_path / f"agent-{slot}{suffix}")
    (tmp_path / beside).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / beside).write_text("{}")
    assert bundle_folder(tmp_path) == tmp_path
    assert main(["evaluate", str(tmp_path), "--episodes", "2"]) == 0


def test_a_run_that_has_no_bundles_yet_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.json").write_text("{}")
    write_status(tmp_path, RunStatus(state=RunState.RUNNING, env_steps=96))
    assert main(["coordinator", "--follow", str(tmp_path), "--listen", "127.0.0.1:0"]) == 2
    told = capsys.readouterr().err
    assert f"there are no bundles to begin with ({tmp_path}: running at step 96)" in told
    assert "evaluation.export=true" in told
