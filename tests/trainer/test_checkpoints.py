"""Interrupted and resumed runs equal uninterrupted ones, and a broken checkpoint never passes for a whole one."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs, contents
from tiny_team import Silent, resume, small_settings, start

from heliograph.environments.permission import EVERYTHING
from heliograph.errors import CheckpointError, NonFiniteLoss
from trainer.training.checkpoint import saved_checkpoints, whole_folder
from trainer.training.restored import restored_algorithm
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings
from trainer.training.training import Training

LAST = 6
"""Iterations of the runs below; the first has too few rows for an update, and the fifth overwrites the oldest."""


def settings_for(environment: str, overlap: str) -> TrainSettings:
    # Dropout of both kinds draws from torch's generator, and an entropy that decays is a counter.
    return small_settings(
        "relay-signal",
        f'environment.id="{environment}"',
        "environment.parameters={agents=2, hears='range'}" if environment == "relay" else "environment.parameters={}",
        "mamba.model.dropout=0.1",
        "mamba.model.message_dropout=0.2",
        "mamba.policy.entropy_decay=0.9",
        "mamba.optimiser.warm_up_updates=5",
        "replay.capacity=60",
        "replay.start=anywhere",
        f"schedule.overlap={overlap}",
        env_steps=10_000,
    )


@pytest.fixture(
    scope="module", params=[("relay", "false"), ("waiting_game:make", "false"), ("waiting_game:make", "true")], ids=str
)
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    start(path, settings_for(*request.param), stop_after=LAST).run()
    return path


@pytest.mark.slow
def test_an_interrupted_run_ends_like_an_uninterrupted_one(uninterrupted: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    summary = start(path, RunFolder.open(uninterrupted).settings(), stop_after=1).run()
    assert (summary.reason, summary.iterations, summary.evaluation) == ("interrupted", 1, None)
    for stop in (2, 5, LAST):
        resume(path, stop_after=stop).run()
    assert_equal_runs(uninterrupted, path)
    metrics = contents(path)["metrics"]
    assert [record["iteration"] for record in metrics] == list(range(1, LAST + 1))
    assert any("policy/entropy" in record for record in metrics)
    assert any("evaluate/greedy_outcome" in record for record in metrics)


class Killed(Silent):
    """Dies in the middle of an iteration's end, after it was logged."""

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        if record["iteration"] == self.stop_after:
            raise ConnectionResetError("killed")


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(uninterrupted: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    start(path, RunFolder.open(uninterrupted).settings(), stop_after=2).run()
    killed = Training(RunFolder.open(path), Killed(stop_after=4), resume=True, permission=EVERYTHING)
    with pytest.raises(ConnectionResetError):
        killed.run()
    folder = RunFolder.open(path)
    assert len(folder.history()) == 4
    with folder.metrics.open("a") as file:
        file.write('{"iteration": 5, "env_st')  # what a crash leaves of a line
    resume(path, stop_after=LAST).run()
    assert_equal_runs(uninterrupted, path)


@pytest.mark.slow
def test_a_run_without_a_checkpoint_starts_over(uninterrupted: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    training = start(path, RunFolder.open(uninterrupted).settings())
    training.progress = Killed(stop_after=2)
    with pytest.raises(ConnectionResetError):
        training.run()
    assert not saved_checkpoints(RunFolder.open(path).checkpoints)
    resume(path, stop_after=LAST).run()
    assert_equal_runs(uninterrupted, path)


@pytest.fixture(scope="module")
def checkpoint_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pair") / "run"
    start(path, small_settings(env_steps=10_000), stop_after=2).run()
    resume(path, stop_after=4).run()
    assert kept_in(path) == ["00000002", "00000004"]
    return path


def kept_in(path: Path) -> list[str]:
    return [each.name for each in saved_checkpoints(path / "checkpoints")]


def test_the_newest_two_checkpoints_are_kept(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    resume(path, stop_after=5).run()
    assert kept_in(path) == ["00000004", "00000005"]


@pytest.mark.parametrize("name", ["tensors.safetensors", "replay.safetensors", "state.json"])
@pytest.mark.parametrize("left", [0, 20, -1])
def test_a_truncated_checkpoint_is_named_and_the_one_before_it_is_gone_on_from(
    checkpoint_pair: Path, tmp_path: Path, name: str, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    older, newest = saved_checkpoints(path / "checkpoints")
    truncate(newest / name, left)
    resumed = resume(path, stop_after=3)
    assert f"checkpoint {newest} cannot be read" in caplog.text
    assert resumed.collector.env_steps == 2 * 12
    resumed.run()
    assert kept_in(path) == [older.name, "00000003"]
    assert newest.with_name(newest.name + ".unreadable").is_dir(), "whoever wants to see what became of it can"


@pytest.mark.parametrize(
    "altered",
    [
        {"ranks": {}},
        {"env_steps": 1.5},
        {"env_steps": math.nan},
        {"iteration": -1},
        {"counters": {}},
        {"counters": None},
        {"param_groups": []},
        {"collector": {}},
        {"collector": 7},
        {"ahead": {"x": 1}},
        {"random": {}},
        {"seconds": "x"},
        {"reached": []},
    ],
    ids=str,
)
def test_a_checkpoint_whose_state_is_no_state_is_as_one_that_is_truncated(
    checkpoint_pair: Path, tmp_path: Path, altered: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    _, newest = saved_checkpoints(path / "checkpoints")
    state = newest / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | altered))
    resumed = resume(path, stop_after=3)
    assert f"checkpoint {newest} cannot be read" in caplog.text
    assert resumed.collector.env_steps == 2 * 12
    assert newest.with_name(newest.name + ".unreadable").is_dir()


@pytest.mark.parametrize("altered", [{"ranks": {}}, {"env_steps": "x"}, {"counters": {}}, {"param_groups": 7}], ids=str)
def test_who_looks_at_a_checkpoint_whose_state_is_none_sees_the_one_before(
    checkpoint_pair: Path, tmp_path: Path, altered: dict[str, Any]
) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    _, newest = saved_checkpoints(path / "checkpoints")
    state = newest / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | altered))
    assert restored_algorithm(RunFolder.open(path), device=torch.device("cpu"))[2] == 2 * 12


def test_a_run_without_any_checkpoint_that_can_be_read_says_so(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    older, newest = saved_checkpoints(path / "checkpoints")
    for each in (older, newest):
        truncate(each / "tensors.safetensors", 20)
    with pytest.raises(CheckpointError, match=older.name) as caught:
        resume(path)
    assert caught.value.exit_code == 9
    assert saved_checkpoints(path / "checkpoints") == [older, newest], "nothing was renamed for it"


def test_networks_are_looked_at_in_the_newest_checkpoint_that_is_whole(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    _, newest = saved_checkpoints(path / "checkpoints")
    truncate(newest / "tensors.safetensors", -1)
    _, _, env_steps = restored_algorithm(RunFolder.open(path), device=torch.device("cpu"))
    assert env_steps == 2 * 12
    assert newest in saved_checkpoints(path / "checkpoints"), "who only looks renames nothing"


def truncate(file: Path, left: int) -> None:
    file.write_bytes(file.read_bytes()[:left])


def test_a_checkpoint_of_another_format_or_other_networks_is_refused(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    document = saved_checkpoints(path / "checkpoints")[-1] / "state.json"
    before = document.read_text()
    document.write_text(json.dumps(json.loads(before) | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="it is of version 99, and what is read here is of version 2"):
        resume(path)
    document.write_text(before)
    settings = json.loads((path / "settings.json").read_text())
    settings["mamba"]["model"]["hidden"] = 32
    (path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="does not fit"):
        resume(path)


def test_half_a_checkpoint_is_no_checkpoint(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    newest = saved_checkpoints(path / "checkpoints")[-1]
    shutil.copytree(newest, newest.with_name("00000006.partial"))
    assert resume(path).collector.env_steps == 4 * 12
    empty = tmp_path / "empty"
    start(empty, small_settings())
    with pytest.raises(CheckpointError, match="no checkpoint"):
        restored_algorithm(RunFolder.open(empty), device=torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "parameter", "named"),
    [
        ("model", "rssm.prior_head.2.bias", "kl term"),
        ("model", "decoder.out.0.weight", "reconstruction term"),
        ("model", "reward.rest.0.weight", "reward term"),
        ("model", "continuation.rest.0.bias", "continue term"),
        ("model", "information.0.weight", "information term"),
        ("critic", "embed.table", "advantages"),
        ("critic", "out.0.bias", "advantages"),
    ],
)
def test_a_weight_that_is_no_number_stops_training_with_the_term_named(
    checkpoint_pair: Path, tmp_path: Path, module: str, parameter: str, named: str
) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    training = resume(path)
    poisoned = training.algorithm.modules()[module].get_parameter(parameter)
    with torch.no_grad():
        poisoned.flatten()[0] = torch.nan
    others = {
        name: {key: value.clone() for key, value in each.state_dict().items()}
        for name, each in training.algorithm.modules().items()
    }
    with pytest.raises(NonFiniteLoss, match=named) as caught:
        training.run()
    assert caught.value.exit_code == 8
    newest = saved_checkpoints(path / "checkpoints")[-1]
    assert newest.name == "00000004"
    # The step that would have spread it was not made.
    for key, value in training.algorithm.modules()[module].state_dict().items():
        assert torch.equal(value.isnan(), others[module][key].isnan()), key
    assert not any(value.isnan().any() for value in training.algorithm.modules()["actor"].state_dict().values())
    resume(path, stop_after=5).run()
    assert saved_checkpoints(path / "checkpoints")[-1].name == "00000005"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_checkpoint_that_cannot_be_written_names_one_before_it_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if not is_first:
        (tmp_path / "00000001").mkdir()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError) as caught, whole_folder(tmp_path / "00000002") as partial:
        (partial / "state.json").touch()
    whole = "" if is_first else "; the one before it is whole"
    assert caught.value.remedy == f"Make room on that disk, and resume{whole}"
    assert [path.name for path in saved_checkpoints(tmp_path)] == ([] if is_first else ["00000001"])


def test_a_reward_that_overflows_the_loss_names_the_reward_term(checkpoint_pair: Path, tmp_path: Path) -> None:
    path = shutil.copytree(checkpoint_pair, tmp_path / "run")
    training = resume(path)
    state = training.replay.state()
    training.replay.restore(state | {"reward": np.full_like(state["reward"], 1e30)})
    said = r"reward term of the world-model loss is inf .*, and rewards reach 1e\+30. Scale them to about -1 to 1"
    with pytest.raises(NonFiniteLoss, match=said):
        training.run()
    resume(path, stop_after=5).run()
