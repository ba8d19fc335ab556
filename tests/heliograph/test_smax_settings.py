"""SMAX without its simulator: settings that are refused, and what is known of its worlds."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from heliograph.environments import registry
from heliograph.environments.smax.environment import SmaxSettings
from heliograph.environments.smax.measured import best_found
from heliograph.environments.smax.scenarios import SCENARIOS
from heliograph.errors import SettingsError
from heliograph.settings import resolve


def settings(**parameters: Any) -> SmaxSettings:
    return resolve(SmaxSettings, {"scenario": "3m", **parameters}, source="test")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"radio_range": -1.0}, "radio_range -1 is below zero"),
        ({"radio_range": float("nan")}, "radio_range"),
        ({"sight_range": 4.0, "radio_range": 3.0}, "radio_range 3 is less than the 4 that units see"),
        ({"radio_range": 9.0}, "radio_range 9 is less than the 10 that units see"),
        ({"radio_range": 12.0, "neighbours": "sight"}, "both say who receives from whom"),
        ({"sight_range": 0.0}, "sight_range"),
        ({"sight_range": 10.5}, "sight_range"),
        ({"radio_range": float("inf")}, "radio_range inf is no distance: leave it out"),
    ],
)
def test_impossible_ranges_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(**parameters)


def test_ranges_that_fit_are_taken() -> None:
    assert settings(sight_range=4.0, radio_range=4.0).radio_range == 4.0
    assert settings(radio_range=12.0).sight_range is None


def test_a_bound_is_told_only_for_the_rules_that_it_was_measured_by() -> None:
    assert best_found(settings(sight_range=6.0, radio_range=16.0, see_enemy_actions=False).model_dump()) == 0.492
    for another in ({"attack_mode": "random"}, {"walls_cause_death": False}, {"step_limit": 50}, {"sight_range": 5.0}):
        assert best_found(settings(**{"sight_range": 6.0, **another}).model_dump()) is None


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jaxmarl") is None, reason="jaxmarl is not installed")
def test_the_named_worlds_are_limited_and_tell_what_was_measured() -> None:
    for name in ("3m", "2s3z", "5m_vs_6m"):
        spec = registry.make(f"smax-{name}-fog", count=1).spec
        assert (spec.parameters["sight_range"], spec.parameters["radio_range"]) == (6.0, 16.0)
        assert spec.blind_bound is not None
        assert spec.blind_bound_measured
        assert registry.make(f"smax-{name}", count=1).spec.blind_bound is None


def test_an_unknown_scenario_or_parameter_lists_the_valid_ones() -> None:
    with pytest.raises(SettingsError) as unknown:
        registry.make("smax-3m", count=1, parameters={"scenario": "4m"})
    assert "'4m'" in str(unknown.value)
    assert all(f"'{name}'" in str(unknown.value) for name in SCENARIOS)
    with pytest.raises(SettingsError, match=r"unknown key speed .*neighbours.*step_limit"):
        registry.make("smax-3m", count=1, parameters={"speed": 1})


def test_settings_are_checked_without_the_simulator() -> None:
    settings = resolve(SmaxSettings, {"scenario": "8m"}, source="test")
    assert (settings.neighbours, settings.termination, settings.step_limit) == ("all", "team", 100)
    for wrong in ({"step_limit": 0}, {"termination": "none"}, {"neighbours": "ring"}, {"attack_mode": "weakest"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            resolve(SmaxSettings, {"scenario": "8m", **wrong}, source="test")
