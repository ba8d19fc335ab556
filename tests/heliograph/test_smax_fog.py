"""SMAX with a sight range: the same battles, in which the team sees and attacks what is near alone."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.smax.environment import SmaxEnvironment, SmaxSettings
from heliograph.environments.smax.measured import best_found
from heliograph.errors import SettingsError
from heliograph.settings import resolve

STOP, FIRST_ATTACK = 4, 5
COPIES = 3
"""As in test_smax.py, so that one of both compiles the game without a sight range."""
SEEN, MARINE_SIGHT = 13, 9.0
"""Numbers of another unit in an observation, and map units that a marine sees in SMAX."""


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
def test_the_battle_is_the_same_and_what_is_far_is_neither_seen_nor_attacked_nor_heard() -> None:
    ranges = {"sight_range": 3.0, "radio_range": 5.0}
    clear, dim = (
        registry.make("smax-3m", count=COPIES, parameters=each)
        for each in ({}, {"sight_range": 3.0, "radio_range": 5.0})
    )
    assert isinstance(dim, SmaxEnvironment)
    assert not dim.spec.complete_graph
    seeds, hidden, kept, deaf, barred = np.arange(COPIES), 0, 0, 0, 0
    shown, dimmed = clear.reset(seeds), dim.reset(seeds)
    random = np.random.default_rng(0)
    while True:
        apart = dim.distances()
        observed = shown.observation[..., : 5 * SEEN].reshape(COPIES, 3, 5, SEEN).copy()
        away = np.linalg.norm(observed[..., 1:3], axis=-1) * MARINE_SIGHT
        near = away < ranges["sight_range"]
        present = observed.any(-1)
        hidden, kept = hidden + int((present & ~near).sum()), kept + int((present & near).sum())
        observed[~near] = 0.0
        assert np.array_equal(dimmed.observation[..., : 5 * SEEN].reshape(COPIES, 3, 5, SEEN), observed)
        assert np.array_equal(dimmed.observation[..., 5 * SEEN :], shown.observation[..., 5 * SEEN :])
        alive = shown.observation[..., 5 * SEEN] > 0
        both = alive[:, :, None] & alive[:, None] & ~np.eye(3, dtype=bool)
        assert np.array_equal(dimmed.hears, both & (apart < ranges["radio_range"]))
        deaf += int((both & ~dimmed.hears).sum())
        in_sight = near[:, :, 2:]  # the enemies follow the two others
        attacks = shown.action_mask[..., FIRST_ATTACK:]
        assert np.array_equal(dimmed.action_mask[..., FIRST_ATTACK:], attacks & in_sight)
        assert np.array_equal(dimmed.action_mask[..., :FIRST_ATTACK], shown.action_mask[..., :FIRST_ATTACK])
        barred += int((attacks & ~in_sight).sum())
        drawn = random.random(dimmed.action_mask.shape) * dimmed.action_mask
        actions = np.where(random.random((COPIES, 3)) < 0.5, STOP, drawn.argmax(-1))
        first, second = clear.step(actions), dim.step(actions)
        assert np.array_equal(first.reward, second.reward)
        assert np.array_equal(first.over, second.over)
        if first.over.any():
            break
        shown, dimmed = first.agent_inputs, second.agent_inputs
    assert hidden
    assert kept
    assert deaf
    assert barred


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jaxmarl") is None, reason="jaxmarl is not installed")
def test_the_named_worlds_are_limited_and_tell_what_was_measured() -> None:
    for name in ("3m", "2s3z", "5m_vs_6m"):
        spec = registry.make(f"smax-{name}-fog", count=1).spec
        assert (spec.parameters["sight_range"], spec.parameters["radio_range"]) == (6.0, 16.0)
        assert spec.blind_bound is not None
        assert spec.blind_bound_measured
        assert registry.make(f"smax-{name}", count=1).spec.blind_bound is None
