"""How `heliograph train` ends: the state that it leaves, what goes on afterwards, and what may not cost a result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from tiny_team import SMALL

from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.errors import CheckpointError, NonFiniteLoss
from heliograph.run_status import RunState, read_status
from trainer.training.run_folder import RunFolder
from trainer.training.training import Training

STEPS = 24
"""Of a run: two iterations, the second of which learns and is evaluated."""


def train(path: Path, *overrides: str, options: Sequence[str] = ("--resume-or-start",)) -> int:
    settings = (*SMALL, f"schedule.env_steps={STEPS}", "replay.minimum=10", *overrides)
    flags = [word for setting in settings for word in ("--set", setting)]
    return main(["train", "--preset", "relay-signal", "--folder", str(path), *options, *flags])


def state(path: Path) -> tuple[RunState, int | None, int | None]:
    status = read_status(path)
    return status.state, status.env_steps, status.exit_code


@pytest.mark.slow
def test_a_target_that_is_not_reached_is_an_exit_code_and_a_sentence_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    exported: list[int] = []
    monkeypatch.setattr(Training, "export", lambda training: exported.append(training.env_steps))
    assert train(path, "schedule.must_reach=true") == 10
    told = capsys.readouterr()
    assert "all environment steps done: 24 environment steps" in told.out
    assert "outcome (won) is" in told.err
    assert "where 2 was asked for" in told.err
    assert f"Go on, for 24 steps more: heliograph train --resume {path}" in told.err
    assert state(path) == (RunState.UNREACHED, 24, 10)
    assert json.loads((path / "summary.json").read_text())["greedy"]["episodes"] == 8
    assert exported == [24], "what there is, is there to be looked at"

    assert train(path, "schedule.must_reach=true") == 10
    assert f"going on with {path}: target not reached at step 24, won " in capsys.readouterr().err
    assert state(path) == (RunState.UNREACHED, 48, 10)
    assert [record["env_steps"] for record in RunFolder.open(path).history()] == [12, 24, 36, 48]

    settings = json.loads((path / "settings.json").read_text())
    settings["schedule"]["stop_at_outcome"] = -1.0
    (path / "settings.json").write_text(json.dumps(settings))
    assert main(["train", "--resume", str(path)]) == 0
    assert state(path)[0] is RunState.FINISHED
    assert exported == [24, 48, read_status(path).env_steps]


@pytest.mark.slow
def test_without_a_target_that_must_be_reached_a_run_is_finished_and_then_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    assert train(path) == 0
    assert "training at most 24 environment steps; " in capsys.readouterr().err, "nothing is won twice"
    assert state(path) == (RunState.FINISHED, 24, 0)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    capsys.readouterr()
    assert train(path) == 0
    assert capsys.readouterr().out == f"bundles are in {path} already\n"
    for unchanged in ([], ["--set", "schedule.env_steps=24"]):
        assert main(["train", "--resume", str(path), *unchanged]) == 0
        told = capsys.readouterr()
        assert told.out.startswith(f"{path} is finished already")
        assert "training until" not in told.err
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


@pytest.mark.slow
def test_an_interrupted_run_is_not_finished_and_goes_on_with_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    began = Training.run
    monkeypatch.setattr(Training, "run", lambda training: (training.stop(), began(training))[1])
    assert train(path) == 130
    assert state(path) == (RunState.INTERRUPTED, 0, 130)
    assert not (path / "summary.json").exists()
    assert not (path / "bundles").exists()
    monkeypatch.undo()
    assert train(path, "seed=3", "replay.batch=5") == 0
    err = capsys.readouterr().err
    assert f"going on with {path}: interrupted at step 0" in err
    assert "it keeps the settings that it was begun with: seed 0, not 3, replay.batch 4, not 5" in err
    assert state(path) == (RunState.FINISHED, 24, 0)
    assert RunFolder.open(path).settings().seed == 0


def test_a_second_ctrl_c_is_an_interruption_and_an_error_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(_training: Training) -> None:
        raise errors.pop(0)

    errors: list[BaseException] = [KeyboardInterrupt(), ValueError("two and two are five")]
    path = tmp_path / "run"
    monkeypatch.setattr(Training, "run", break_off)
    assert train(path) == 130
    assert state(path) == (RunState.INTERRUPTED, 0, 130)
    with pytest.raises(ValueError, match="five"):
        train(path)
    assert state(path) == (RunState.FAILED, 0, 1)
    assert read_status(path).detail == "ValueError: two and two are five"
    monkeypatch.undo()
    more = ["--environment", "waiting_game:make"]
    overflowing = tmp_path / "overflowing"
    assert train(overflowing, "environment.parameters={reward_factor=1e30}", options=more) == 8
    assert "reward term" in read_status(overflowing).detail
    assert state(overflowing)[0::2] == (RunState.FAILED, 8)
    assert f"there is no checkpoint yet, so begin again with: heliograph train --resume {overflowing}" in (
        capsys.readouterr().err
    )


def test_a_run_that_fails_names_the_command_that_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(training: Training) -> None:
        training.save()
        raise NonFiniteLoss("the reward term is nan", remedy="Go on with a smaller learning rate")

    path = tmp_path / "run"
    monkeypatch.setattr(Training, "run", diverge)
    assert train(path) == 8
    *_, way_on, error = capsys.readouterr().err.splitlines()
    assert way_on == f"the run folder is {path}; go on from the last checkpoint with: heliograph train --resume {path}"
    assert error == "heliograph train: the reward term is nan. Go on with a smaller learning rate"


@pytest.mark.parametrize("moment", ["_evaluate", "save"])
def test_a_run_folder_that_is_removed_ends_the_training_with_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    """It went on to its end, made half of the folder anew, and then told that it could not read its settings."""
    path, original = tmp_path / "run", getattr(Training, moment)

    def remove(training: Training) -> object:
        path.rename(tmp_path / "elsewhere")  # at once, whatever else writes into it
        return original(training)

    monkeypatch.setattr(Training, moment, remove)
    assert train(path) == CheckpointError.exit_code
    *_, way_on, error = capsys.readouterr().err.splitlines()
    assert way_on.startswith(f"the run folder is {path}; nothing can go on from it as it is: ")
    assert error.startswith("heliograph train: ")
    assert str(path) in error
    assert "in its place" in error or "leave it where it is" in error
    assert not path.exists()


def test_a_training_whose_folder_is_gone_is_interrupted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"

    def remove(_training: Training) -> None:
        path.rename(tmp_path / "elsewhere")  # at once, whatever else writes into it
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run", remove)
    assert train(path) == 130
    assert "nothing can go on from it" in capsys.readouterr().err


def test_resume_or_start_names_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "relay", "--resume-or-start"]) == 2
    assert "Name it with --folder" in capsys.readouterr().err


class Broken(MetaPathFinder):
    """Packages that are installed, and fail when they are imported, with whatever exception."""

    def __init__(self, errors: Mapping[str, Exception]) -> None:
        self._errors = errors

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self._errors:
            raise self._errors[name]
        return None


@pytest.mark.slow
def test_nothing_that_only_people_look_at_costs_a_run_its_results(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = {
        "matplotlib.figure": ImportError("numpy.core.multiarray failed"),
        "torch.utils.tensorboard": RuntimeError("built for numpy 1"),
    }
    for package in errors:
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(errors), *sys.meta_path])
    path = tmp_path / "run"
    assert train(path) == 0
    assert "won, greedy: " in capsys.readouterr().out
    assert state(path) == (RunState.FINISHED, 24, 0)
    assert json.loads((path / "summary.json").read_text())["greedy"]["episodes"] == 8
    assert load_team(path / "bundles")
    assert [record.getMessage() for record in caplog.records if record.name == "heliograph.optional"] == [
        "no log for TensorBoard: RuntimeError: built for numpy 1",
        "no learning curve: ImportError: numpy.core.multiarray failed",
        "no plot of the calibration: ImportError: numpy.core.multiarray failed",
    ]
