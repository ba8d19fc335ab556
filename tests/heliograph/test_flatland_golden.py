"""Flatland against MAMBA's released observation code: every entry of every step; see tests/golden/flatland."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flatland")

from heliograph.environments import registry
from heliograph.environments.flatland.settings import FlatlandSettings
from heliograph.environments.flatland.team import RailTeam

EPISODES = sorted((Path(__file__).parents[1] / "golden" / "flatland").glob("*.npz"))


def team_of(episode: Path, **parameters: Any) -> RailTeam:
    name = f"flatland-{int(episode.name[:2])}"
    spec = registry.make(name, count=1, parameters={"published": True, **parameters}).spec
    return RailTeam(FlatlandSettings(**spec.parameters))


@pytest.mark.parametrize("path", EPISODES, ids=lambda path: path.stem)
def test_everything_equals_the_published_code_at_every_step(path: Path) -> None:
    golden = dict(np.load(path))
    team = team_of(path)
    team.reset(int(path.stem.rpartition("_")[2]))
    team.identity = golden["random_id"]
    assert np.array_equal(team.simulator.rail.grid, golden["grid"])
    steps, compared = len(golden["actions"]), 0
    for step in range(steps + 1):
        trains, sight = team.trains, team.sight()
        seen = {
            "position": positions(team),
            "malfunction": [agent.malfunction_handler.malfunction_down_counter for agent in team.simulator.agents],
            "obs": sight.observation,
            "edge_train": sight.edge_train,
            "deadlocked": trains.deadlocked,
            "forced": team.forced(),
            "native_of": team.native_of(),
            "on_switch_true": trains.on_map & team.rails.on_switch[trains.place],
        }
        for name, value in seen.items():
            assert np.array_equal(value, golden[name][step]), f"{name} at step {step}"
            compared += 1
        if step < len(golden["actions"]):
            team.step_native(golden["actions"][step])
            done = team.trains.arrived | team.trains.deadlocked | team.timed_out
            assert np.array_equal(team.reward, golden["reward"][step]), f"reward of step {step}"
            assert np.array_equal(done, golden["done_worker"][step]), f"done after step {step}"
            compared += 2
    assert compared >= 8 * (steps + 1) + 2 * steps


def positions(team: RailTeam) -> np.ndarray:
    width = team.settings.width
    cell, heading = team.rails.cell[team.trains.place], team.rails.heading[team.trains.place]
    return np.where(team.trains.on_map[:, None], np.stack([cell // width, cell % width, heading], axis=-1), -1)


def test_the_episodes_hold_what_can_happen() -> None:
    held = [dict(np.load(path)) for path in EPISODES]
    assert sum(len(golden["actions"]) for golden in held) >= 1416
    settled = [(golden["state"][-1] == 6) | golden["deadlocked"][-1] for golden in held]
    assert any(all_of_them.all() for all_of_them in settled)
    assert any(golden["done_worker"][-1].all() > done.all() for golden, done in zip(held, settled, strict=True))
    assert any(golden["deadlocked"].any() and (golden["state"] == 6).any() for golden in held)
    assert any((golden["malfunction"] > 0).any() for golden in held)
    assert sorted({golden["actions"].shape[1] for golden in held}) == [5, 10, 15]


def test_the_default_form_says_the_same_on_another_scale() -> None:
    """Flags agree, entries 6, 7 and each edge's 3 apart; distances are the published ones in other units."""
    golden = dict(np.load(EPISODES[0]))
    published, scaled = team_of(EPISODES[0]), team_of(EPISODES[0], published=False)
    for team in (published, scaled):
        team.reset(int(EPISODES[0].stem.rpartition("_")[2]))
    half_perimeter = 70
    switches = merges = 0
    for step, actions in enumerate(golden["actions"][:120]):
        theirs, ours = published.sight(), scaled.sight()
        assert np.array_equal(theirs.edge_train, ours.edge_train)
        here = ours.observation[~scaled.trains.arrived]
        there = theirs.observation[~scaled.trains.arrived].astype(np.float64)
        assert np.array_equal(here[:, [2, 3, 4, 8]], there[:, [2, 3, 4, 8]].astype(np.float32))
        assert np.array_equal(here[:, 6] > 0, golden["on_switch_true"][step][~scaled.trains.arrived])
        assert np.allclose(here[:, :2] * 35, there[:, :2] * 100, atol=1e-4)
        edges, theirs_edges = here[:, 9:].reshape(-1, 14), there[:, 9:].reshape(-1, 14)
        assert np.array_equal(edges[:, [0, *range(6, 14)]], theirs_edges[:, [0, *range(6, 14)]])
        there_cells = np.where(theirs_edges[:, 1:3] == 0, np.inf, (theirs_edges[:, 1:3] + 10) * 100)
        expected = np.where(edges[:, :1] == 0, 0, np.minimum(there_cells / half_perimeter, 2))
        assert np.allclose(edges[:, 1:3], expected, atol=1e-4)
        switches += int((here[:, 6] > 0).sum())
        merges += int((edges[:, 3] < edges[:, 2])[edges[:, 0] != 0].sum())
        for team in (published, scaled):
            team.step_native(actions)
    assert switches
    assert merges
