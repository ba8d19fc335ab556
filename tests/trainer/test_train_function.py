"""`heliograph.train`: a run folder with bundles that the other public functions take."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_team import SMALL

import heliograph
from heliograph.errors import EnvironmentUntrusted, SettingsError

SHORT = (*SMALL, "schedule.env_steps=48")


@pytest.mark.slow
def test_a_team_is_trained_and_evaluated(tmp_path: Path) -> None:
    run = heliograph.train("relay-signal", folder=str(tmp_path / "run"), settings=SHORT, seed=3)
    assert run == tmp_path / "run"
    assert {"settings.json", "summary.json", "bundles"} <= {path.name for path in run.iterdir()}
    report = heliograph.evaluate(run, episodes=2)
    assert report.algorithm == "mamba"
    with pytest.raises(SettingsError, match="holds a run already"):
        heliograph.train("relay-signal", folder=run, settings=SHORT)


def test_a_preset_file_names_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("canary.py").write_text("raise SystemExit('the canary has run')")
    Path("theirs.toml").write_text('base = "relay-signal"\nenvironment.id = "canary:make"\n')
    with pytest.raises(EnvironmentUntrusted, match="preset theirs"):
        heliograph.train("theirs.toml", folder="run")
    assert not Path("run").exists()


def test_a_setting_that_is_none_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        heliograph.train("relay-signal", folder=tmp_path / "run", settings=["schedule.steps=1"])
    assert not (tmp_path / "run").exists()
