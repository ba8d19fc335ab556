"""A run that is logged to Weights & Biases: the real package, without a network; and a sentence where it is missing."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from tiny_team import SMALL

from heliograph.cli import main

pytestmark = pytest.mark.slow
OVERRIDES = [word for text in (*SMALL, "schedule.env_steps=48") for word in ("--set", text)]


def test_a_run_leaves_its_log_for_syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "run"
    command = ["train", "--preset", "relay-signal", *OVERRIDES, "--folder", str(folder), "--wandb", "test"]
    assert main(command) == 0
    (log,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    assert b"model/" in log.read_bytes()


def test_a_missing_package_is_named_before_anything_is_trained(tmp_path, monkeypatch, capsys) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name == "wandb":
            raise ModuleNotFoundError(name=name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    command = ["train", "--preset", "relay-signal", *OVERRIDES, "--folder", str(tmp_path / "run"), "--wandb", "test"]
    assert main(command) == 5
    assert "pip install 'heliograph[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
