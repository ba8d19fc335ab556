"""The Flatland adapter: shapes, seeds, ends of episodes, forced moves, who hears whom, bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flatland")

from PIL import Image

from heliograph.environments import registry
from heliograph.environments.drawing import BACKGROUND
from heliograph.environments.flatland import drawing
from heliograph.environments.flatland.team import RailTeam
from heliograph.environments.parallel import as_parallel
from heliograph.environments.vector import AgentInputs, Transition, VectorEnvironment
from heliograph.errors import SettingsError, WorldError

SMALL: dict[str, Any] = {"agents": 4, "width": 24, "height": 24, "cities": 2, "malfunction_interval": 40}


def random_actions(agent_inputs: AgentInputs, random: np.random.Generator) -> np.ndarray:
    return (random.random(agent_inputs.action_mask.shape) * agent_inputs.action_mask).argmax(-1)


def episode(
    environment: VectorEnvironment, seeds: list[int], *, action_seed: int = 0
) -> list[AgentInputs | Transition]:
    """Random play until one copy is over."""
    random = np.random.default_rng(action_seed)
    played: list[AgentInputs | Transition] = [environment.reset(np.array(seeds))]
    agent_inputs = played[0]
    while isinstance(played[-1], AgentInputs) or not played[-1].over.any():
        played.append(environment.step(random_actions(agent_inputs, random)))
        agent_inputs = played[-1].agent_inputs
    return played


def flat(played: list[AgentInputs | Transition], *, copy: int) -> list[bytes]:
    shown = [entry.agent_inputs if isinstance(entry, Transition) else entry for entry in played]
    fields = [(p.observation[copy], p.action_mask[copy], p.hears[copy], p.present[copy]) for p in shown]
    steps = [entry for entry in played if isinstance(entry, Transition)]
    fields += [(t.reward[copy], t.terminated[copy], t.truncated[copy]) for t in steps]
    return [array.tobytes() for arrays in fields for array in arrays]


@pytest.mark.slow
def test_shapes_and_ends_of_episodes() -> None:
    environment = registry.make("flatland", count=2, parameters=SMALL)
    spec = environment.spec
    assert (spec.agents, spec.observation_size, spec.actions, spec.outcome) == (4, 205, 3, "arrived")
    assert not spec.complete_graph
    for seed in range(3):
        played = episode(environment, [seed, seed + 10], action_seed=seed)
        gone = np.zeros((2, 4), dtype=bool)
        for entry in played[1:]:
            assert isinstance(entry, Transition)
            agent_inputs = entry.agent_inputs
            assert agent_inputs.observation.dtype == np.float32
            assert (np.abs(agent_inputs.observation) <= 2).all()
            # Who is done stays done, sees nothing, is heard by nobody, earns nothing, and may do anything.
            assert (entry.terminated >= gone).all()
            assert not entry.reward[gone].any()
            gone = entry.terminated
            assert (agent_inputs.present == ~gone).all()
            assert not agent_inputs.observation[gone].any()
            assert agent_inputs.action_mask[gone].all()
            assert not agent_inputs.hears[gone].any()
            assert not agent_inputs.hears.transpose(0, 2, 1)[gone].any()
            assert np.array_equal(np.isnan(entry.outcome), ~entry.over)
            assert np.array_equal(entry.over, entry.truncated | gone.all(-1))
            assert not (entry.truncated & gone.all(-1)).any()


def test_a_step_limit_truncates_and_shows_the_last_state() -> None:
    environment = registry.make("flatland", count=1, parameters={**SMALL, "step_limit": 5})
    *earlier, last = episode(environment, [1])[1:]
    assert len(earlier) == 4
    assert isinstance(last, Transition)
    assert last.truncated.all()
    assert not last.terminated.any()
    assert last.agent_inputs.present.all()
    assert last.agent_inputs.observation.any(-1).all()
    assert last.outcome.tolist() == [0.0]
    with pytest.raises(WorldError, match="no running episode"):
        environment.step(np.zeros((1, 4), dtype=int))


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"rail_seed": 3, "neighbours": "rail"}], ids=str)
def test_a_seed_repeats_its_episode_whatever_came_before_and_beside(more: dict[str, Any]) -> None:
    environment = registry.make("flatland", count=2, parameters={**SMALL, **more, "step_limit": 60})
    seeds = [2**62 + 5, 7]
    first = episode(environment, seeds, action_seed=3)
    episode(environment, [8, 9], action_seed=4)
    again = episode(environment, seeds, action_seed=3)
    assert flat(first, copy=0) == flat(again, copy=0)
    assert flat(first, copy=1) == flat(again, copy=1)
    swapped = environment.reset(np.array(seeds[::-1]))
    assert swapped.observation[1].tobytes() == first[0].observation[0].tobytes()
    assert swapped.observation[0].tobytes() != swapped.observation[1].tobytes()
    broken = [entry.agent_inputs.observation[..., 4] < 0 for entry in first[1:] if isinstance(entry, Transition)]
    assert np.any(broken), "no malfunction: the test is about nothing"


def test_a_forced_move_is_the_only_legal_one_and_published_leaves_the_choice_without_effect() -> None:
    own = registry.make("flatland", count=1, parameters=SMALL)
    theirs = registry.make("flatland", count=1, parameters={**SMALL, "published": True})
    assert (own.spec.has_action_mask, theirs.spec.has_action_mask) == (True, False)
    agent_inputs, published = own.reset(np.array([4])), theirs.reset(np.array([4]))
    random, forced_steps = np.random.default_rng(0), 0
    for _ in range(60):
        assert published.action_mask.all()
        free = agent_inputs.action_mask.all(-1)
        assert (agent_inputs.action_mask[~free] == (True, False, False)).all()
        wanted = random.integers(3, size=(1, 4))
        forced_steps += int(np.count_nonzero(~free & (wanted > 0)))
        left, right = own.step(np.where(free, wanted, 0)), theirs.step(wanted)
        assert left.reward.tobytes() == right.reward.tobytes()
        assert np.array_equal(left.agent_inputs.hears, right.agent_inputs.hears)
        agent_inputs, published = left.agent_inputs, right.agent_inputs
        if left.over.any():
            break
    assert forced_steps > 5


def test_fixed_rails_are_the_same_in_every_episode() -> None:
    fixed = registry.make("flatland", count=1, parameters={**SMALL, "rail_seed": 1})
    fixed.reset(np.array([1]))
    first = fixed.teams[0].rails  # type: ignore[attr-defined]
    fixed.reset(np.array([2]))
    second = fixed.teams[0].rails  # type: ignore[attr-defined]
    assert np.array_equal(first.grid, second.grid)
    assert first.targets.tolist() != second.targets.tolist()


def test_hearing_along_rails_is_mutual_and_grows_with_its_reach() -> None:
    heard = []
    for reach in (0, 6, 1000):
        more = {"neighbours": "rail", "rail_reach": reach, "malfunction_interval": 0}
        played = episode(registry.make("flatland", count=1, parameters={**SMALL, **more}), [3], action_seed=1)
        agent_inputs = [entry.agent_inputs for entry in played if isinstance(entry, Transition)]
        heard.append(np.stack([entry.hears[0] for entry in agent_inputs]))
        assert np.array_equal(heard[-1], heard[-1].transpose(0, 2, 1))
    assert (heard[0] <= heard[1]).all()
    assert heard[1].sum() < heard[2].sum()
    present = np.stack([entry.present[0] for entry in agent_inputs])
    assert np.array_equal(heard[2], present[:, None] & present[:, :, None] & ~np.eye(4, dtype=bool))


def test_a_train_hears_the_first_ones_on_its_edges_which_need_not_hear_it() -> None:
    one_way = out_of_play = 0
    for seed in range(3):
        environment = registry.make("flatland", count=1, parameters={**SMALL, "malfunction_interval": 0})
        agent_inputs, random = environment.reset(np.array([seed])), np.random.default_rng(seed)
        over = False
        while not over:
            ahead = environment.teams[0].sight().edge_train  # type: ignore[attr-defined]
            pairs = {(train, int(other)) for train in range(4) for other in ahead[train] if other not in (-1, train)}
            both_there = {(i, j) for i, j in pairs if agent_inputs.present[0, i] and agent_inputs.present[0, j]}
            assert set(map(tuple, np.argwhere(agent_inputs.hears[0]).tolist())) == both_there
            one_way += len({(i, j) for i, j in both_there if (j, i) not in both_there})
            out_of_play += len(pairs - both_there)
            transition = environment.step(random_actions(agent_inputs, random))
            agent_inputs, over = transition.agent_inputs, bool(transition.over[0])
    assert one_way > 20
    assert out_of_play > 0, "nobody stood deadlocked on another's edge"


@pytest.mark.slow
def test_a_deadlock_ends_the_part_of_its_trains_and_of_no_others() -> None:
    ended = {"arrived": 0, "deadlocked": 0}
    for seed in range(4):
        environment = registry.make("flatland", count=1, parameters={**SMALL, "malfunction_interval": 0})
        agent_inputs, random = environment.reset(np.array([seed])), np.random.default_rng(seed)
        over = False
        while not over:
            present = agent_inputs.present[0]
            transition = environment.step(random_actions(agent_inputs, random))
            trains, agent_inputs = environment.teams[0].trains, transition.agent_inputs  # type: ignore[attr-defined]
            assert np.array_equal(transition.terminated[0], trains.arrived | trains.deadlocked)
            assert np.array_equal(agent_inputs.present[0], ~transition.terminated[0])
            assert not transition.reward[0][~present].any()
            over = bool(transition.over[0])
        ended["arrived"] += int(trains.arrived.sum())
        ended["deadlocked"] += int((trains.deadlocked & ~trains.arrived).sum())
        assert transition.outcome[0] == pytest.approx(trains.arrived.mean())
    assert min(ended.values()) > 0, ended


def test_distances_are_as_the_crow_flies_and_known_before_trains_depart() -> None:
    environment = registry.make("flatland", count=2, parameters=SMALL)
    with pytest.raises(WorldError, match="nowhere before their first episode"):
        environment.distances()
    agent_inputs = environment.reset(np.array([3, 4]))
    random = np.random.default_rng(0)
    for _ in range(30):
        distances = environment.distances()
        for copy, team in enumerate(environment.teams):
            for i, cell in enumerate(team.cells):
                for j, other in enumerate(team.cells):
                    rows, columns = np.subtract(divmod(cell, 24), divmod(other, 24))
                    assert distances[copy, i, j] == pytest.approx(np.hypot(rows, columns))
        agent_inputs = environment.step(random_actions(agent_inputs, random)).agent_inputs
    assert distances[distances > 0].size


def test_it_is_a_pettingzoo_parallel_environment(parallel_api_test: Callable[..., None]) -> None:
    environment = registry.make("flatland", count=1, parameters={**SMALL, "step_limit": 40})
    parallel_api_test(as_parallel(environment), num_cycles=100)


@pytest.mark.slow
def test_pictures_show_rails_and_what_becomes_of_trains() -> None:
    environment = registry.make("flatland", count=2, parameters=SMALL)
    assert environment.spec.renders
    with pytest.raises(WorldError, match="nothing to draw"):
        environment.render(0)
    environment.reset(np.array([1, 2]))
    before = environment.render(0)
    assert before.dtype == np.uint8
    assert before.shape == (24 * 36, 24 * 36, 3)
    assert not np.array_equal(before, environment.render(1))
    assert np.array_equal(before, environment.render(0))
    rails = environment.teams[0].rails.grid > 0  # type: ignore[attr-defined]
    drawn = (before.reshape(24, 36, 24, 36, 3).min((1, 3, 4)) < 150) & ~_marked(environment)
    assert np.array_equal(drawn[~_marked(environment)], rails[~_marked(environment)])
    *_, last = episode(environment, [1, 2])
    assert isinstance(last, Transition)
    copy = int(np.argmax(last.over))
    assert not np.array_equal(environment.render(copy), before)


def test_a_train_points_where_it_heads() -> None:
    """Alone in its cell, without rails: turned by a quarter, the picture of one heading is that of the next."""
    environment = registry.make("flatland", count=1, parameters={**SMALL, "agents": 1})
    environment.reset(np.array([1]))
    team = environment.teams[0]  # type: ignore[attr-defined]
    rails, side = team.rails, drawing.cell_pixels(team.rails)
    blank = Image.new("RGB", (24 * side * 2, 24 * side * 2), BACKGROUND)
    cells = []
    for heading in range(4):
        place = next(int(p) for p in np.flatnonzero(rails.heading == heading) if rails.cell[p] not in rails.targets)
        trains = replace(team.trains, place=np.array([place]), on_map=np.array([True]))
        row, column = divmod(int(rails.cell[place]), 24)
        drawn = drawing.picture(rails, trains, blank)[
            row * side : (row + 1) * side, column * side : (column + 1) * side
        ]
        cells.append((drawn != np.array(BACKGROUND)).any(-1))
    north, east, south, west = cells
    for turns, turned in enumerate((east, south, west), start=1):
        assert (np.rot90(north, -turns) == turned).mean() > 0.97
    assert (north == south).mean() < 0.9
    assert north[: side // 2].sum() < north[side // 2 :].sum(), "the nose is narrower than the tail"


def _marked(environment: Any) -> np.ndarray:
    """bool [H, W], cells with a train or a target in copy 0, and those beside them."""
    team = environment.teams[0]
    marked = np.zeros((24, 24), dtype=bool)
    for cell in (*team.rails.targets, *team.trains.start):
        row, column = divmod(int(cell), 24)
        marked[row - 1 : row + 2, column - 1 : column + 2] = True
    return marked


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"width": 11}, "room for 0 cities"),
        ({"cities": 30}, "room for 4 cities"),
        ({"malfunction_shortest": 60}, "malfunction_longest 50 is less"),
        ({"agents": 0}, "agents"),
        ({"trains": 5}, "unknown key trains"),
    ],
    ids=str,
)
def test_impossible_parameters_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        registry.make("flatland", count=1, parameters={**SMALL, **wrong})


def test_observations_that_make_no_sense_stop_with_adapter_and_field(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = registry.make("flatland", count=1, parameters=SMALL)
    sound = RailTeam.sight

    def broken(team: RailTeam, value: np.ndarray) -> Any:
        return replace(sound(team), observation=value)

    monkeypatch.setattr(RailTeam, "sight", lambda team: broken(team, np.full((4, 205), np.nan, dtype=np.float32)))
    with pytest.raises(WorldError, match=r"adapter of 'flatland': field 'observation' of train 0"):
        environment.reset(np.array([1]))
    monkeypatch.setattr(RailTeam, "sight", lambda team: broken(team, np.zeros((4, 204), dtype=np.float32)))
    with pytest.raises(WorldError, match=r"adapter of 'flatland': field 'observation' has shape"):
        environment.reset(np.array([1]))


def test_a_target_out_of_reach_is_as_far_away_as_the_settings_say() -> None:
    one_line = {"agents": 4, "width": 20, "height": 22, "cities": 2, "rails_between_cities": 1}
    progress_alone = {"malfunction_interval": 0, "approach_reward": 1.0, "arrival_reward": 0.0, "deadlock_reward": 0.0}
    worlds = [one_line | progress_alone | {"unreachable_cells": cells} for cells in (1000.0, 60.0)]
    far, near = (episode(registry.make("flatland", count=1, parameters=world), [0]) for world in worlds)
    difference = np.array([a.reward - b.reward for a, b in zip(far[1:], near[1:], strict=True)])
    assert set(np.abs(difference).ravel().tolist()) == {0.0, 940.0}
