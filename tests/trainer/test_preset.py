"""Presets: every one of them resolves, and families lay variant and flavour over one another in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from preset_digests import FILE, digest

from heliograph.environments.catalogue import CATALOGUE
from heliograph.errors import SettingsError
from trainer.training.preset import load_settings, preset_names

GOLDEN = json.loads(FILE.read_text())


def test_presets_have_the_names_and_settings_that_they_had() -> None:
    found = {name: digest(load_settings(name, []), GOLDEN["settings"]) for name in preset_names()}
    assert found == GOLDEN["presets"], "compare `heliograph train --preset NAME --dry-run` with the commit before"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves_to_a_world_that_has_a_name(name: str) -> None:
    assert load_settings(name, []).environment.id in CATALOGUE


def test_a_flavour_lies_beneath_its_family_and_a_variant_above() -> None:
    tuned, paper, code = (load_settings(f"mamba-flatland-10{flavour}", []) for flavour in ("", "-paper", "-code"))
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


def test_a_family_is_not_a_preset_and_a_misspelt_name_is_helped() -> None:
    with pytest.raises(SettingsError, match="Did you mean mamba-smax-3m"):
        load_settings("mamba-smax-3mm", [])
    with pytest.raises(SettingsError, match="unknown preset 'mamba-smax'"):
        load_settings("mamba-smax", [])


def test_a_family_file_of_ones_own_asks_for_a_member(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "relay"\n[variants.two]\nseed = 2\n')
    with pytest.raises(SettingsError, match=r"family of presets.*Name one of two"):
        load_settings(str(file), [])


def test_a_family_over_a_family_may_keep_some_of_its_flavours_and_takes_over_the_world_alone() -> None:
    names = set(preset_names())
    assert {"mappo-smax-8m", "mappo-smax-8m-cpu", "mabl-smax-8m-paper", "mabl-smax-8m-code"} <= names
    assert not {"mappo-smax-8m-paper", "mappo-smax-8m-code"} & names
    settings, beneath = load_settings("mappo-smax-8m-cpu", []), load_settings("mamba-smax-8m-cpu", [])
    assert settings.algorithm == "mappo"
    assert (settings.environment, settings.evaluation) == (beneath.environment, beneath.evaluation)
    assert settings.schedule.env_steps == beneath.schedule.env_steps
