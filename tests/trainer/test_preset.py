"""Presets: every one of them resolves to what it did, and what the three axes say lies over one another in order."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from preset_digests import FILE, digest

from heliograph.cli import main
from heliograph.environments.catalogue import CATALOGUE
from heliograph.errors import SettingsError
from trainer.training import preset_axes
from trainer.training.preset import load_settings, preset_names
from trainer.training.preset_axes import algorithms, single_presets, variants, worlds
from trainer.training.preset_combinations import combinations
from trainer.training.settings import TrainSettings

GOLDEN = json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def resolved() -> dict[str, TrainSettings]:
    """Every preset, by name."""
    return {name: load_settings(name, []) for name in preset_names()}


@pytest.mark.slow
def test_presets_have_the_names_and_settings_that_they_had(resolved: dict[str, TrainSettings]) -> None:
    found = {name: digest(settings, GOLDEN["settings"]) for name, settings in resolved.items()}
    assert found == GOLDEN["presets"], "compare `heliograph train --preset NAME --dry-run` with the commit before"


@pytest.mark.slow
def test_every_preset_resolves_to_a_world_that_has_a_name(resolved: dict[str, TrainSettings]) -> None:
    """In one test: fifteen hundred would take every worker longer than the presets take to be read."""
    worlds_of = {name: settings.environment.id for name, settings in resolved.items()}
    assert len(worlds_of) > 1000
    assert not {name: world for name, world in worlds_of.items() if world not in CATALOGUE}


def test_every_file_says_what_it_is_for_and_speaks_of_what_there_is() -> None:
    assert all(each.purpose for axis in (algorithms(), worlds(), variants()) for each in axis.values())
    assert all(purpose for purpose, _ in single_presets().values())
    for algorithm in algorithms().values():
        tables = algorithm.worlds.values()
        assert algorithm.worlds.keys() | set(algorithm.without) <= worlds().keys()
        named = (
            algorithm.variants.keys() | set(algorithm.keeps or ()) | {v for t in tables for v in t.get("variants", ())}
        )
        assert named <= variants().keys()
    for world in worlds().values():
        assert world.variants.keys() <= variants().keys()
        assert world.unnamed in {None, *algorithms()}
    assert {world for variant in variants().values() for world in variant.worlds} <= worlds().keys()


def test_a_variant_lies_beneath_its_world_and_a_map_above() -> None:
    tuned, paper, code = (load_settings(f"mamba-flatland-10{variant}", []) for variant in ("", "-paper", "-code"))
    assert [each.environment.id for each in (tuned, paper, code)] == ["flatland-10"] * 3
    assert [each.schedule.env_steps for each in (tuned, paper, code)] == [1_000_000] * 3
    assert [each.mamba.model.posterior_scale for each in (tuned, paper, code)] == [20.0, 1.0, 1.0]
    assert [each.mamba.model.recurrent for each in (tuned, paper, code)] == [400, 400, 600]
    assert [each.environment.parameters.get("published", False) for each in (tuned, paper, code)] == [
        False,
        False,
        True,
    ]
    assert code.mamba.model.communication == "central"
    assert [each.mamba.policy.advantage_normalisation for each in (tuned, paper, code)] == [True, False, False]


def test_a_combination_without_its_map_is_not_a_preset_and_a_misspelt_name_is_helped() -> None:
    with pytest.raises(SettingsError, match="Did you mean mamba-smax-3m"):
        load_settings("mamba-smax-3mm", [])
    with pytest.raises(SettingsError, match="unknown preset 'mamba-smax'"):
        load_settings("mamba-smax", [])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('base = "relay"\n[variants.two]\nseed = 2\n', "unknown key variants"),
        ('base = ["relay"]\n', r"base \['relay'\] is no name"),
        ('base = "relays"\n', "unknown preset 'relays'.*Did you mean relay"),
    ],
)
def test_a_file_of_ones_own_is_one_preset_over_one_that_there_is(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=told):
        load_settings(str(file), [])


def test_an_algorithm_may_keep_some_variants_and_without_a_world_model_takes_over_the_world_alone() -> None:
    names = set(preset_names())
    assert {"mappo-smax-8m", "mappo-smax-8m-cpu", "mabl-smax-8m-paper", "mabl-smax-8m-code"} <= names
    assert {"mappo-smax-8m-paper", "mappo-smac-8m", "happo-smac-8m-paper", "vdn-smac-8m"} <= names
    without = {"mappo-smax-8m-code", "mappo-flatland-10", "attention-ppo-smac-8m", "attention-ppo-smax-8m-paper"}
    assert not (without | {"ippo-flatland-10", "vdn-mujoco-walker2d"}) & names
    settings, beneath = load_settings("mappo-smax-8m-cpu", []), load_settings("mamba-smax-8m-cpu", [])
    assert settings.algorithm == "mappo"
    assert (settings.environment, settings.evaluation) == (beneath.environment, beneath.evaluation)
    assert settings.schedule.env_steps == beneath.schedule.env_steps


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the files of presets, from which they are read."""
    copy = tmp_path / "presets"
    shutil.copytree(preset_axes.FOLDER, copy)
    caches = (algorithms, worlds, variants, single_presets, combinations)
    monkeypatch.setattr(preset_axes, "FOLDER", copy)
    for cached in caches:
        cached.cache_clear()
    yield copy
    for cached in caches:
        cached.cache_clear()


MEADOW = """# A meadow.
[environment]
id = "{map}"

[schedule]
steps_per_iteration = 5
[variants]
cpu = { schedule.minutes = 7 }
paper = { schedule.minutes = 8 }
[maps]
relay-signal = { schedule.env_steps = 11 }
"""
SCOUT = """# Scout, which looks.
base = "mag"
algorithm = "mag"
[mag]
candidates = 2
horizon = 2
predictor_updates = 2
[variants.cpu]
mag = { candidates = 3, horizon = 3 }
[worlds.meadow]
mag.candidates = 5
variants.cpu.seed = 6
"""


def test_a_world_and_an_algorithm_are_one_file_each_and_are_combined_with_all_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = GOLDEN["presets"].keys()
    (folder / "worlds" / "meadow.toml").write_text(MEADOW)
    (folder / "algorithms" / "scout.toml").write_text(SCOUT)
    added = set(preset_names()) - before
    assert set(preset_names()) > before
    assert {f"{name}-meadow-relay-signal" for name in algorithms()} <= added
    assert {
        "mabl-meadow-relay-signal-paper",
        "scout-smax-3m-paper",
        "scout-flatland-cpu",
        "scout-relay-sighted",
    } <= added
    assert "attention-ppo-meadow-relay-signal-paper" not in added

    settings = load_settings("scout-meadow-relay-signal", [])
    assert (settings.algorithm, settings.seed, settings.environment.id) == ("mag", 6, "relay-signal")
    assert (settings.schedule.steps_per_iteration, settings.schedule.minutes) == (5, 7)
    assert settings.schedule.env_steps == 11
    assert (settings.mag.candidates, settings.mag.horizon, settings.mag.predictor_updates) == (5, 3, 2)
    assert settings.mamba == load_settings("cpu", []).mamba
    assert load_settings("scout-meadow-relay-signal-paper", []).schedule.minutes == 8

    assert main(["train", "--list-presets"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert {"        A meadow.", "        Scout, which looks.", "    scout-meadow-MAP[-paper]"} <= set(told)
