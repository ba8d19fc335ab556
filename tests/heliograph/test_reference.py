"""Reference policies: the episodes of an evaluation, whatever plays them at once; those for Flatland are better."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.environments import reference
from heliograph.environments.reference import reference_names, run_reference
from heliograph.errors import SettingsError, UnknownEnvironment

RELAY: dict[str, Any] = {"agents": 2, "size": 2, "length": 4}
RAILS: dict[str, Any] = {
    **{"agents": 3, "width": 20, "height": 22, "cities": 2},
    **{"rails_between_cities": 1, "rail_seed": 1, "malfunction_interval": 300},
}


def test_random_play_does_not_depend_on_how_many_copies_play(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    many = run_reference("relay", "random", parameters=RELAY, episodes=20, seed=5, progress=told.append)
    monkeypatch.setattr(reference, "MOST_COPIES", 1)
    few = run_reference("relay", "random", parameters=RELAY, episodes=20, seed=5)
    for field in ("outcome", "team_return", "length"):
        assert np.array_equal(getattr(many, field), getattr(few, field)), field
    assert told == [3, 6, 9, 12, 15, 18, 20]
    assert many.length.tolist() == [4] * 20
    assert np.isfinite(many.outcome).all()
    assert np.unique(many.team_return).size > 3
    assert np.array_equal(
        run_reference("relay", "random", parameters=RELAY, episodes=3, seed=5).outcome, many.outcome[:3]
    )
    other = run_reference("relay", "random", parameters=RELAY, episodes=20, seed=6)
    assert not np.array_equal(other.team_return, many.team_return)


def test_wrong_names_and_numbers_are_refused_with_the_right_ones() -> None:
    assert reference_names("relay") == ("random",)
    assert reference_names("flatland-5") == ("random", "shortest-path", "deadlock-avoidance")
    with pytest.raises(
        SettingsError, match=r"no reference policy 'shortest'.*random, shortest-path, deadlock-avoidance"
    ):
        run_reference("flatland", "shortest", episodes=1, seed=0)
    with pytest.raises(SettingsError, match="cannot run 0 episodes"):
        run_reference("relay", "random", episodes=0, seed=0)
    with pytest.raises(UnknownEnvironment, match="relai"):
        run_reference("relai", "random", episodes=1, seed=0)


@pytest.mark.slow
def test_heuristics_bring_more_trains_home_than_chance_on_the_same_episodes() -> None:
    pytest.importorskip("flatland_baselines")
    shares = {
        name: run_reference("flatland", name, parameters=RAILS, episodes=7, seed=0).outcome.mean()
        for name in reference_names("flatland")
    }
    assert shares["random"] < shares["shortest-path"] < shares["deadlock-avoidance"]


def test_a_train_alone_arrives_as_fast_as_its_shortest_path_is_long() -> None:
    pytest.importorskip("flatland_baselines")
    alone = {**RAILS, "agents": 1, "malfunction_interval": 0}
    results = [
        run_reference("flatland", name, parameters=alone, episodes=4, seed=1)
        for name in ("shortest-path", "deadlock-avoidance")
    ]
    for result in results:
        assert result.outcome.tolist() == [1.0] * 4
    # One step to become ready and one to enter the map; then one cell per step, each worth 0.01.
    ways = np.round((results[0].team_return - 10) / 0.01)
    assert np.array_equal(results[0].length, ways + 2)
    assert np.array_equal(results[1].team_return, results[0].team_return)
