"""SMAX: its table, names, seeds, ends of battles, dead units, masks, who hears whom, ranges, pictures.

All tests share one compiled scenario: 3 marines a side, three copies, and one copy where it must be alone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.drawing import BACKGROUND, COLOURS
from heliograph.environments.parallel import as_parallel
from heliograph.environments.smax.environment import SmaxEnvironment
from heliograph.environments.smax.picture import DEAD, PIXELS_PER_UNIT, draw
from heliograph.environments.smax.scenarios import SCENARIOS
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import MissingExtra, WorldError

# Not importorskip: the import is part of what is tested.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("jaxmarl") is None, reason="jaxmarl is not installed")]

COPIES, RIGHT, STOP, FIRST_ATTACK = 3, 1, 4, 5
SEEN, MARINE_SIGHT = 13, 9.0
"""Numbers of another unit in an observation, and map units that a marine sees in SMAX."""
RULES = {"see_enemy_actions": True, "walls_cause_death": True, "enemy_shoots": True, "attack_mode": "closest"}
RULES |= {"sight_range": None, "radio_range": None}
INPUT_FIELDS = ("observation", "action_mask", "hears", "present")
Policy = Callable[[np.ndarray], np.ndarray]


def marines(count: int = COPIES, **parameters: Any) -> SmaxEnvironment:
    made = registry.make("smax-3m", count=count, parameters=parameters)
    assert isinstance(made, SmaxEnvironment)
    return made


def compiled(scenario: str = "3m") -> Any:
    from heliograph.environments.smax.battle import battle

    return battle(scenario, **RULES)


@pytest.fixture(scope="module")
def team() -> Iterator[SmaxEnvironment]:
    made = marines()
    heard, kept = io.StringIO(), (sys.stdout, sys.__stdout__)
    sys.stdout = sys.__stdout__ = heard
    try:
        made.reset(np.arange(COPIES))
        assert sys.stdout is heard, "loading the simulator replaced sys.stdout"
        assert not heard.getvalue()
    finally:
        sys.stdout, sys.__stdout__ = kept
    yield made
    made.close()


def focus(mask: np.ndarray) -> np.ndarray:
    """All attack the first enemy that they reach; whoever reaches none stops."""
    attacks = mask[..., FIRST_ATTACK:]
    return np.where(attacks.any(-1), FIRST_ATTACK + attacks.argmax(-1), STOP)


def hold(mask: np.ndarray) -> np.ndarray:
    return np.full(mask.shape[:-1], STOP)


def drawn(seed: int) -> Policy:
    random = np.random.default_rng(seed)
    return lambda mask: (random.random(mask.shape) * mask).argmax(-1)


def battles(team: SmaxEnvironment, seeds: np.ndarray, policy: Policy) -> Iterator[tuple[AgentInputs, Transition]]:
    """Agent inputs before and the transition after each step, until the first copy is over."""
    agent_inputs = team.reset(seeds)
    while True:
        transition = team.step(policy(agent_inputs.action_mask))
        yield agent_inputs, transition
        if transition.over.any():
            return
        agent_inputs = transition.agent_inputs


def units(world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Health and positions of the six units, [E, 6] and [E, 6, 2], out of the world state."""
    each = world[:, :60].reshape(-1, 6, 10)
    return each[..., 0], each[..., 1:3]


def test_the_table_is_the_packages(team: SmaxEnvironment) -> None:
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

    assert set(SCENARIOS) == set(MAP_NAME_TO_SCENARIO)
    for name, ours in SCENARIOS.items():
        game = HeuristicEnemySMAX(scenario=map_name_to_scenario(name))
        assert (ours.allies, ours.enemies) == (game.num_allies, game.num_enemies)
        spec = registry.make(f"smax-{name}", count=1).spec
        assert (spec.agents, spec.observation_size) == (game.num_agents, game.obs_size)
        assert (spec.actions, spec.state_size) == (game.num_ally_actions, game.state_size)


def test_a_broken_package_says_how_to_get_a_whole_one(monkeypatch: pytest.MonkeyPatch, team: SmaxEnvironment) -> None:
    monkeypatch.setitem(sys.modules, "jaxmarl.environments.smax", None)
    with pytest.raises(MissingExtra, match=r"pip install 'heliograph\[smax\]'"):
        marines(attack_mode="random").reset(np.arange(COPIES))


@pytest.mark.parametrize("termination", ["team", "agent"])
def test_it_passes_pettingzoos_own_test(termination: str, parallel_api_test: Callable[..., None]) -> None:
    parallel_api_test(as_parallel(marines(termination=termination)), num_cycles=60)


def test_shapes_types_and_spec_agree(team: SmaxEnvironment) -> None:
    spec = team.spec
    assert registry.make("smax-3m", count=1, parameters=spec.parameters).spec == spec
    for _, transition in battles(team, np.arange(COPIES), focus):
        agent_inputs, world = transition.agent_inputs, team.state()
        assert (agent_inputs.observation.shape, agent_inputs.observation.dtype) == ((COPIES, 3, 75), np.float32)
        assert (agent_inputs.action_mask.shape, agent_inputs.action_mask.dtype) == ((COPIES, 3, 8), bool)
        assert (transition.reward.shape, transition.reward.dtype) == ((COPIES, 3), np.float32)
        assert (world.shape, world.dtype) == ((COPIES, spec.state_size), np.float32)
        assert transition.terminated.shape == (COPIES, 3)
        assert all(getattr(agent_inputs, name).flags.writeable for name in INPUT_FIELDS)
        assert (agent_inputs.hears == ~np.eye(3, dtype=bool)).all()
        assert not transition.lost.any()


def test_a_seed_repeats_on_the_same_object_and_all_its_bits_count(team: SmaxEnvironment) -> None:
    def shown(seeds: list[int]) -> list[bytes]:
        return [t.agent_inputs.observation.tobytes() for _, t in battles(team, np.array(seeds), drawn(0))]

    first = shown([5, 6, 2**62 + 5])
    assert shown([7, 8, 9]) != first
    assert shown([5, 6, 2**62 + 5]) == first
    starts = team.reset(np.array([5, 5 + 2**32, 5 + 2**62])).observation
    assert len({starts[copy].tobytes() for copy in range(COPIES)}) == COPIES


def test_a_copy_is_what_it_would_be_alone_and_the_step_compiles_once(team: SmaxEnvironment) -> None:
    # Bit for bit on the machines tried, though XLA may compile one copy and three to different roundings.
    alone, steps = marines(count=1), compiled().advance
    before = steps._cache_size()
    lonely = list(battles(alone, np.array([11]), drawn(3)))
    assert steps._cache_size() == before + 1
    random, others = drawn(3), drawn(4)
    agent_inputs = team.reset(np.array([20, 11, 21]))
    for _, expected in lonely:
        actions = others(agent_inputs.action_mask)
        actions[1] = random(agent_inputs.action_mask[1:2])[0]
        transition = team.step(actions)
        agent_inputs = transition.agent_inputs
        for name in INPUT_FIELDS:
            assert (getattr(agent_inputs, name)[1] == getattr(expected.agent_inputs, name)[0]).all(), name
        for name in ("reward", "terminated", "over"):
            assert (getattr(transition, name)[1] == getattr(expected, name)[0]).all(), name
        # The others begin anew all the time; nobody else may notice, nor may anything compile again.
        before_reset = agent_inputs
        agent_inputs = team.reset(np.array([30, 31]), np.array([2, 0]))
        for name in INPUT_FIELDS:
            assert (getattr(agent_inputs, name)[1] == getattr(before_reset, name)[1]).all(), name
    assert transition.over[1]
    assert steps._cache_size() == before + 1


def test_battles_are_decided_by_who_is_left(team: SmaxEnvironment) -> None:
    outcomes = []
    for seed in range(0, 90, COPIES):
        *_, (_, last) = battles(team, np.arange(seed, seed + COPIES), focus)
        health, _ = units(team.state())
        allies, enemies = (health[:, :3] > 0).any(1), (health[:, 3:] > 0).any(1)
        assert (last.over == ~(allies & enemies)).all()
        assert not last.truncated.any()
        for copy in np.flatnonzero(last.over):
            assert last.terminated[copy].all()
            assert last.outcome[copy] == (allies[copy] and not enemies[copy])
            assert (last.reward[copy] == last.reward[copy, 0]).all()
            assert (last.reward[copy, 0] >= 1.0) == (last.outcome[copy] == 1.0)  # the bonus for winning
        assert np.isnan(last.outcome[~last.over]).all()
        assert not last.terminated[~last.over].any()
        outcomes += last.outcome[last.over].tolist()
    assert set(outcomes) == {0.0, 1.0}


def test_a_team_that_does_nothing_loses(team: SmaxEnvironment) -> None:
    *_, (_, last) = battles(team, np.arange(COPIES), hold)
    assert last.outcome[last.over].tolist() == [0.0] * int(last.over.sum())
    assert last.terminated[last.over].all()


def test_the_limit_truncates_what_is_undecided() -> None:
    short = marines(step_limit=4)
    steps = list(battles(short, np.arange(COPIES), hold))
    assert len(steps) == short.spec.episode_limit == 4
    _, last = steps[-1]
    assert last.over.all()
    assert last.truncated.all()
    assert not last.terminated.any()
    assert last.outcome.tolist() == [0.0] * COPIES
    with pytest.raises(WorldError, match="copy 0 has no running episode"):
        short.step(hold(last.agent_inputs.action_mask))
    agent_inputs = short.reset(np.array([1, 2]), np.array([0, 1]))
    with pytest.raises(WorldError, match="copy 2 has no running episode"):
        short.step(hold(agent_inputs.action_mask))


def test_a_dead_unit_stays_or_leaves_and_the_battle_does_not_depend_on_it(team: SmaxEnvironment) -> None:
    leaving = marines(termination="agent", neighbours="sight")
    seeds, dead_steps = np.arange(40, 40 + COPIES), 0
    agent_inputs, other = team.reset(seeds), leaving.reset(seeds)
    while True:
        actions = focus(agent_inputs.action_mask)
        # Any action of a unit that has left is legal, and none has an effect.
        stays = team.step(actions)
        leaves = leaving.step(np.where(other.present, actions, RIGHT))
        dead = ~leaves.agent_inputs.present
        agent_inputs, seen = stays.agent_inputs, leaves.agent_inputs
        assert agent_inputs.present.all()
        assert (agent_inputs.observation == seen.observation).all()
        assert not agent_inputs.observation[dead].any()
        assert agent_inputs.observation[~dead].any(-1).all()
        assert (agent_inputs.action_mask[dead] == (np.arange(8) == STOP)).all()
        assert seen.action_mask[dead].all()
        assert (agent_inputs.action_mask[~dead] == seen.action_mask[~dead]).all()
        assert not seen.hears[dead].any()
        assert not seen.hears.transpose(0, 2, 1)[dead].any()
        assert (leaves.terminated == (dead | stays.terminated)).all()
        assert (leaves.reward == stays.reward * other.present).all()
        assert (stays.over == leaves.over).all()
        other, dead_steps = seen, dead_steps + int(dead[~stays.over].sum())
        if stays.over.any():
            break
    assert dead_steps > 0


def test_masks_allow_what_is_in_range(team: SmaxEnvironment) -> None:
    attacked = 0
    for _, transition in battles(team, np.arange(COPIES), drawn(1)):
        health, position = units(team.state())
        alive = health > 0
        distance = np.linalg.norm(position[:, :3, None] - position[:, None, 3:], axis=-1)  # [E, 3 allies, 3 enemies]
        reachable = (distance < 5.0) & alive[:, :3, None] & alive[:, None, 3:]
        mask = transition.agent_inputs.action_mask
        assert (mask[..., FIRST_ATTACK:] == reachable).all()
        assert (mask[..., :STOP] == alive[:, :3, None]).all()
        assert mask[..., STOP].all()
        attacked += int(reachable.sum())
    assert attacked > 0
    start = team.reset(np.arange(COPIES)).action_mask
    assert not start[0, 0, FIRST_ATTACK]
    with pytest.raises(WorldError, match="action 5 of agent 0 in copy 0 is illegal"):
        team.step(np.full((COPIES, 3), FIRST_ATTACK))


def test_hearing_by_sight_is_directed_and_among_the_living(team: SmaxEnvironment) -> None:
    import jax

    battle, cpu = compiled(), jax.local_devices(backend="cpu")[0]
    state, _ = battle.begin(np.zeros((COPIES, 2), np.uint32), np.arange(COPIES, dtype=np.int32), battle.nothing(COPIES))
    marine, stalker = 0, 2  # they see 9 and 10 units far
    row = {
        "unit_types": np.array([marine, stalker, marine, marine, marine, marine], np.uint8),
        "unit_positions": np.array([[2, 2], [11.5, 2], [2, 4], [30, 30], [30, 28], [28, 30]], np.float32),
        "unit_alive": np.array([True, True, False, True, True, True]),
        "unit_health": np.array([45, 160, 0, 45, 45, 45], np.float32),
    }
    key, game = jax.tree.unflatten(battle.tree, state)
    placed = {name: jax.device_put(np.repeat(value[None], COPIES, axis=0), cpu) for name, value in row.items()}
    arranged = tuple(jax.tree.leaves((key, game.replace(state=game.state.replace(**placed)))))
    before = battle.advance._cache_size()
    _, moment = battle.advance(arranged, np.full((COPIES, 3), STOP, np.int32))
    assert battle.advance._cache_size() == before
    assert np.asarray(moment.near)[0].tolist() == [[False] * 3, [True, False, False], [False] * 3]


def test_distances_are_between_the_places_that_are_drawn(team: SmaxEnvironment) -> None:
    with pytest.raises(WorldError, match="nowhere before their first battle"):
        marines().distances()
    for _ in battles(team, np.arange(COPIES), drawn(3)):
        distances = team.distances()
    assert (distances.dtype, distances.shape) == (np.float32, (COPIES, 3, 3))
    for copy in range(COPIES):
        place = compiled().units(team._units, copy).position[:3]
        for i in range(3):
            assert distances[copy, i] == pytest.approx(np.hypot(*(place - place[i]).T))
    assert (distances > 0).any()


def test_a_team_in_sight_of_one_another_hears_everyone() -> None:
    seeing = marines(neighbours="sight")
    assert not seeing.spec.complete_graph
    assert (seeing.reset(np.arange(COPIES)).hears == ~np.eye(3, dtype=bool)).all()  # they start side by side


def test_a_picture_shows_where_the_units_are(team: SmaxEnvironment) -> None:
    for _ in battles(team, np.arange(40, 40 + COPIES), focus):
        health, position = units(team.state())
        picture = team.render(1)
        assert picture.dtype == np.uint8
        assert picture.shape == (32 * PIXELS_PER_UNIT + 1, 32 * PIXELS_PER_UNIT + 1, 3)
        for unit in np.flatnonzero(health[1]):
            x, y = position[1, unit] * PIXELS_PER_UNIT
            below = picture[round(picture.shape[0] - y + 6), round(x)]  # under the letter, above the rim
            assert below.tolist() == COLOURS[0 if unit < 3 else 1].tolist()
    with pytest.raises(WorldError, match="no episode to draw"):
        marines().render()


def test_a_picture_shows_health_shots_and_the_dead() -> None:
    from heliograph.environments.smax.battle import Units

    shown = Units(
        position=np.array([[4, 4], [8, 4], [4, 8]], np.float32),
        health=np.array([1.0, 0.3, 0.0], np.float32),
        alive=np.array([True, True, False]),
        radius=np.full(3, 0.5, np.float32),
        letter=["m", "Z", "h"],
        target=np.array([1, -1, 0]),
        allies=1,
        width=12,
        height=10,
    )
    picture, scale = draw(shown), PIXELS_PER_UNIT
    assert picture.shape == (10 * scale + 1, 12 * scale + 1, 3)

    def at(x: float, y: float) -> list[int]:
        return picture[round((10 - y) * scale), round(x * scale)].tolist()

    assert at(6, 4) == COLOURS[0].tolist()  # the shot, in the shooter's colour
    assert at(4, 8) == DEAD.tolist()
    assert at(4, 6.5) == picture[0, 4 * scale].tolist()  # a dead unit shoots at nobody: the line of the grid
    assert at(4, 4.3) == at(4, 3.7) == COLOURS[0].tolist()
    assert at(8, 3.7) == COLOURS[1].tolist()
    assert at(8.2, 4.3) not in (COLOURS[1].tolist(), list(BACKGROUND))


def test_the_battle_is_the_same_and_what_is_far_is_neither_seen_nor_attacked_nor_heard() -> None:
    ranges = {"sight_range": 3.0, "radio_range": 5.0}
    clear, dim = marines(), marines(**ranges)
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


def test_smax_names_are_in_the_order_of_the_simulators() -> None:
    """Read off its lists of entries, since an episode would take half a minute to compile."""
    game = compiled("2s3z")._game
    ours = {"health": "health", "position_x": "x", "position_y": "y", "last_targeted": "last target"}
    ours |= {"last_movement_x": "last move x", "last_movement_y": "last move y", "weapon_cooldown": "cooldown"}
    ours |= {f"unit_type_bit{s}_{i}": f"type = {game.unit_type_names[i]}" for i in range(6) for s in ("", "s")}
    own, seen = ([ours[name] for name in names] for names in (game.own_features, game.unit_features))
    spec = registry.make("smax-2s3z", count=1).spec
    others = [*(f"ally {number}" for number in range(1, 5)), *(f"enemy {number}" for number in range(1, 6))]
    expected = [f"{unit} {entry}" for unit in others for entry in seen] + [f"own {entry}" for entry in own]
    assert list(spec.observation_names) == expected
    assert len(expected) == game.obs_size
    units = [*(f"agent {slot}" for slot in range(5)), *(f"enemy {number}" for number in range(1, 6))]
    assert list(spec.state_names[: len(units) * len(own)]) == [f"{unit} {entry}" for unit in units for entry in own]
    assert list(spec.state_names[len(units) * len(own) :: len(units)]) == ["agent 0 team", "agent 0 type number"]
    assert len(spec.state_names) == game.state_size
