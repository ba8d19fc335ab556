"""A run that goes on with other settings keeps its history and what it is; one that begins with another's networks."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tiny_team import SMALL, Silent, resume, small_settings, start

from heliograph.cli import main
from heliograph.errors import CheckpointError, SettingsError
from heliograph.run_settings import CHANGEABLE
from heliograph.run_status import RunState, read_status
from trainer.algorithms.interfaces import Algorithm
from trainer.training.checkpoint import saved_checkpoints
from trainer.training.extending import CHANGES, extend
from trainer.training.initial_weights import load_initial_weights
from trainer.training.restored import restored_algorithm
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings
from trainer.training.snapshots import saved_snapshots
from trainer.training.training import Training

pytestmark = pytest.mark.slow
STEPS = 48


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    summary = start(path, small_settings(env_steps=STEPS)).run()
    assert (summary.reason, summary.env_steps) == ("steps", STEPS)
    return path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def weights(path: Path) -> dict[str, torch.Tensor]:
    algorithm, _, _ = restored_algorithm(RunFolder.open(path), device=torch.device("cpu"))
    return weights_of(algorithm)


def weights_of(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value for name, part in algorithm.modules().items() for key, value in part.state_dict().items()
    }


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_a_finished_run_goes_on_for_more_steps_and_keeps_its_history(run: Path, tmp_path: Path) -> None:
    before = (run / "metrics.jsonl").read_text()
    assert extend(run, [f"schedule.env_steps={2 * STEPS}"]) == {"schedule.env_steps": (STEPS, 2 * STEPS)}
    summary = resume(run).run()
    assert (summary.reason, summary.env_steps) == ("steps", 2 * STEPS)
    assert (run / "metrics.jsonl").read_text().startswith(before)
    (change,) = (json.loads(line) for line in (run / CHANGES).read_text().splitlines())
    assert (change["env_steps"], change["changes"]) == (STEPS, {"schedule.env_steps": [STEPS, 2 * STEPS]})
    # It is the run that it would have been with those settings from the start.
    start(tmp_path / "whole", small_settings(env_steps=4 * STEPS), stop_after=2 * STEPS // 12).run()
    assert_same(weights(run), weights(tmp_path / "whole"))


def test_a_run_may_be_made_shorter_as_well(run: Path) -> None:
    extend(run, [f"schedule.env_steps={4 * STEPS}"])
    extend(run, [f"schedule.env_steps={2 * STEPS}"])
    assert resume(run).run().env_steps == 2 * STEPS
    assert len((run / CHANGES).read_text().splitlines()) == 2


def test_another_target_is_to_be_reached_anew(tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = small_settings("relay-signal", "schedule.stop_at_outcome=-1.0", env_steps=10_000)
    assert start(path, settings).run().reason == "outcome"
    extend(path, ["schedule.stop_at_outcome=2.0"])
    assert resume(path, stop_after=6).run().reason == "interrupted"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("mamba.model.hidden=32", "mamba.model.hidden is what the run is"),
        ("seed=4", "seed is what the run is"),
        ("environment.parameters={agents=3}", "environment.parameters is what the run is"),
        ("schedule.env_steps=0", "schedule.env_steps"),
        ("schedule.nothing=1", "unknown key schedule.nothing"),
    ],
)
def test_what_the_run_is_stays(run: Path, override: str, named: str) -> None:
    before = (run / "settings.json").read_bytes()
    with pytest.raises(SettingsError, match=named):
        extend(run, [override])
    assert (run / "settings.json").read_bytes() == before
    assert not (run / CHANGES).exists()


def test_the_command_changes_settings_only_where_nobody_trains(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder.open(run).claimed():
        assert main(["train", "--resume", str(run), "--set", "schedule.env_steps=96"]) == 2
    assert "another process trains" in capsys.readouterr().err
    assert main(["train", "--resume", str(run), "--set", "schedule.env_steps=96"]) == 0
    out, err = capsys.readouterr()
    assert "schedule.env_steps was 48 and is 96 from here on" in err
    assert "96 environment steps" in out


def test_every_setting_that_may_change_exists() -> None:
    for name in CHANGEABLE:
        table = TrainSettings
        *sections, last = name.split(".")
        for section in sections:
            table = table.model_fields[section].annotation
        assert last in table.model_fields


def test_the_page_of_settings_names_each_that_may_change_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "training.md").read_text(encoding="utf-8")
    _, _, after = page.partition("## What a run that goes on may change\n")
    rows = [line for line in after.partition("<!-- generated")[0].splitlines() if line.startswith("| `")]
    assert re.findall("`([^`]+)`", "".join(rows)) == list(CHANGEABLE)
    assert f"`{CHANGES}`" in after


def test_a_run_begins_with_the_networks_of_another(finished: Path, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", small_settings(env_steps=STEPS), init_from=finished)
    training = Training(folder, Silent(), resume=False, init_from=finished)
    assert_same(weights_of(training.algorithm), weights(finished))
    assert training.env_steps == 0
    training.close()
    # It was killed before it learned anything, and still has them.
    assert_same(weights(folder.path), weights(finished))
    assert resume(folder.path, stop_after=1).run().env_steps == STEPS // 4
    assert json.loads((folder.path / "run.json").read_text())["init_from"] == str(finished.resolve())


def test_a_run_begins_with_the_networks_of_a_snapshot(finished: Path, tmp_path: Path) -> None:
    (first, *_) = saved_snapshots(finished / "snapshots")
    algorithm, _, _ = restored_algorithm(RunFolder.open(finished), device=torch.device("cpu"))
    assert load_initial_weights(first, algorithm) == int(first.name)


def test_networks_of_other_sizes_do_not_fit(finished: Path, tmp_path: Path) -> None:
    folder = RunFolder.create(
        tmp_path / "run", small_settings("relay-signal", "mamba.model.hidden=32", env_steps=STEPS)
    )
    with pytest.raises(CheckpointError, match="do not fit this run's model"):
        Training(folder, Silent(), resume=False, init_from=finished)


def test_a_run_that_could_not_begin_with_the_networks_never_begins_without_them(finished: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    folder = RunFolder.create(tmp_path / "run", small_settings(env_steps=STEPS), init_from=later)
    for _ in range(2):
        with pytest.raises(SettingsError, match="neither a run folder nor a snapshot"):
            Training(folder, Silent(), resume=True, init_from=later)
    shutil.copytree(finished, later)
    training = Training(folder, Silent(), resume=True, init_from=later)
    assert_same(weights_of(training.algorithm), weights(finished))


def test_a_folder_does_not_choose_whose_networks_are_read(finished: Path, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", small_settings(env_steps=STEPS), init_from=finished)
    for named in (None, tmp_path / "others"):
        with pytest.raises(SettingsError, match=r"begins with the networks of .*, which this command does not name"):
            Training(folder, Silent(), resume=True, init_from=named)
    assert main(["train", "--resume", str(folder.path)]) == 2
    assert not saved_checkpoints(folder.checkpoints)


def test_a_run_that_goes_on_is_not_trained_by_a_dry_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "settings.json").read_bytes()
    assert main(["train", "--resume", str(run), "--dry-run", "--set", f"schedule.env_steps={2 * STEPS}"]) == 2
    assert "--dry-run" in capsys.readouterr().err
    assert (run / "settings.json").read_bytes() == before


def test_what_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [word for text in SMALL for word in ("--set", text)]
    command = ["train", "--preset", "relay-signal", *overrides, "--folder", str(tmp_path / "run")]
    assert main([*command, "--init-from", str(tmp_path)]) == 2
    assert "neither a run folder nor a snapshot" in capsys.readouterr().err


def test_a_command_that_is_refused_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((run / "settings.json").read_text())
    settings["environment"]["id"] = "os:system"
    (run / "settings.json").write_text(json.dumps(settings))
    before = (run / "settings.json").read_bytes()
    assert main(["train", "--resume", str(run), "--set", "schedule.env_steps=96"]) == 5
    assert (run / "settings.json").read_bytes() == before
    assert not (run / CHANGES).exists()


def test_a_run_that_was_lengthened_is_not_done(run: Path) -> None:
    assert read_status(run).state is RunState.FINISHED
    extend(run, [f"schedule.env_steps={2 * STEPS}"])
    assert read_status(run).state is RunState.INTERRUPTED


def test_what_could_not_begin_is_no_run_and_the_corrected_command_begins(
    finished: Path, tmp_path: Path, capsys
) -> None:
    overrides = [word for text in (*SMALL, f"schedule.env_steps={STEPS}") for word in ("--set", text)]
    command = ["train", "--preset", "relay-signal", *overrides, "--folder", str(tmp_path / "run")]
    assert main([*command, "--init-from", str(tmp_path)]) == 2
    assert read_status(tmp_path / "run").state is RunState.ABSENT
    assert main([*command, "--init-from", str(finished)]) == 0
    assert main([*command, "--init-from", str(tmp_path), "--resume-or-start"]) == 0, "it is finished, and left alone"
    (tmp_path / "run" / "status.json").unlink()
    (tmp_path / "run" / "summary.json").unlink()
    capsys.readouterr()
    assert main([*command, "--init-from", str(tmp_path), "--resume-or-start"]) == 2
    assert f"began with those of {finished}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--resume", "one", "--folder", "other"], "--resume goes on in one"),
        (["--preset", "relay", "--seeds", "0-1", "--metrics", "127.0.0.1:0"], "--metrics serves those of one run"),
        (["--preset", "relay", "--seeds", "zz", "--dry-run"], "are not like 0-9"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, named, capsys) -> None:
    assert main(["train", *arguments]) == 2
    assert named in capsys.readouterr().err
