"""An algorithm that another distribution brings, as its entry point: trained, resumed, exported, run as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import toy_algorithm
from equal_runs import assert_equal_runs
from tiny_team import SMALL_WORLD, resume, small_settings, start

from heliograph.bundle import load_team
from heliograph.errors import SettingsError
from trainer.algorithms import registry
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
ENTRY = "toy_algorithm:ENTRY"


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its distribution is installed, as far as this process can tell."""
    points = EntryPoints([EntryPoint("regression", ENTRY, registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))
    registry._brought.cache_clear()
    yield
    registry._brought.cache_clear()


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of processes in which its distribution is installed, that start from nothing."""
    site = tmp_path / "site"
    about = site / "toy_algorithm-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-algorithm\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{registry.GROUP}]\nregression = {ENTRY}\n")
    (site / "toy_algorithm").symlink_to(ROOT / "tests" / "toy_algorithm")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def warmly(environment: dict[str, str], warm: dict[str, str]) -> dict[str, str]:
    """The same, for those that begin with torch loaded."""
    places = [place for each in (environment, warm) if (place := each.get("PYTHONPATH"))]
    return environment | warm | {"PYTHONPATH": os.pathsep.join(places)}


def heliograph(*arguments: object, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "heliograph", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("brought")
def test_its_settings_are_a_section_like_any_other() -> None:
    settings = load_settings("relay", ["algorithm=regression", "regression.updates=7"])
    assert settings.regression.updates == 7
    assert "mamba" not in settings.model_dump()
    with pytest.raises(SettingsError, match=r"unknown key regression\.update \(valid here: learning_rate"):
        load_settings("relay", ["algorithm=regression", "regression.update=7"])
    with pytest.raises(SettingsError, match="regression has nothing to compile"):
        load_settings("relay", ["algorithm=regression", "compile=default"])


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("overlap", ["true", "false"])
def test_a_resumed_run_of_it_equals_the_uninterrupted_one(tmp_path: Path, overlap: str) -> None:
    chosen = small_settings(
        "relay", "algorithm=regression", f"schedule.overlap={overlap}", env_steps=10_000, small=SMALL_WORLD
    )
    start(tmp_path / "whole", chosen, stop_after=9).run()
    start(tmp_path / "parts", chosen, stop_after=4).run()
    resume(tmp_path / "parts", stop_after=9).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("regression/loss" in record for record in RunFolder.open(tmp_path / "parts").history())


@pytest.mark.usefixtures("brought")
def test_one_that_knows_no_continuous_actions_is_refused_a_world_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = small_settings(
        "relay",
        "algorithm=regression",
        "environment.id=steering_team:make",
        "environment.parameters={}",
        small=SMALL_WORLD,
    )
    start(tmp_path / "able", chosen, stop_after=1).close()
    monkeypatch.setattr(toy_algorithm, "ENTRY", replace(toy_algorithm.ENTRY, continuous=False))
    with pytest.raises(SettingsError, match="regression knows discrete actions alone"):
        start(tmp_path / "unable", chosen)


@pytest.mark.usefixtures("brought")
def test_one_that_says_nothing_of_mixed_teams_is_handed_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = small_settings(
        "relay",
        "algorithm=regression",
        "environment.id=mixed_team:make",
        "environment.parameters={}",
        small=SMALL_WORLD,
    )
    with pytest.raises(SettingsError, match="regression knows no teams with both discrete and continuous actions"):
        start(tmp_path / "unable", chosen)
    monkeypatch.setattr(toy_algorithm, "ENTRY", replace(toy_algorithm.ENTRY, mixed=True))
    start(tmp_path / "able", chosen, stop_after=1).close()


@pytest.mark.slow
def test_it_trains_exports_and_runs_as_processes(
    tmp_path: Path, installed: dict[str, str], warm_variables: dict[str, str]
) -> None:
    warm = warmly(installed, warm_variables)
    run, report = tmp_path / "run", tmp_path / "report.json"
    overrides = [part for each in ("algorithm=regression", *SMALL_WORLD) for part in ("--set", each)]
    options = (*overrides, "--set", "schedule.env_steps=96", "--folder", run)
    heliograph("train", "--preset", "relay", *options, environment=warm)
    assert (run / "learning_curve.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert json.loads((run / "settings.json").read_text())["regression"]["updates"] == 4
    heliograph("export", run, "--to", tmp_path / "team", environment=warm)
    team = load_team(tmp_path / "team")
    assert {bundle.manifest.algorithm for bundle in team} == {"regression"}
    assert all(bundle.manifest.message is None and bundle.manifest.state == () for bundle in team)
    # Nobody who runs a team knows where it comes from.
    play = ("run", "--bundles", tmp_path / "team", "--episodes", 2, "--json", report)
    heliograph(*play, environment=warmly(dict(os.environ), warm_variables))
    assert json.loads(report.read_text())["summaries"][0]["episodes"] == 2
    heliograph("evaluate", run, "--episodes", 2, "--central", environment=installed)
