"""The built-in tasks: rules, masks, seeds, who hears whom, bad input, pictures."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_play import episode, flat, places, random_actions

from heliograph.environments import registry
from heliograph.environments.relay import MOVES, RelaySettings, neighbour_graph
from heliograph.environments.vector import Transition
from heliograph.errors import SettingsError, WorldError

CASES: list[tuple[str, dict[str, Any]]] = [
    ("relay", {}),
    ("relay", {"agents": 3, "hears": "ring", "reward": "team"}),
    ("relay", {"agents": 5, "size": 4, "hears": "range", "observation_noise": 0.2}),
    ("relay", {"cue": "own", "length": 9}),
    ("relay-signal", {}),
    ("relay-signal", {"agents": 3, "symbols": 5, "hears": "ring", "observation_noise": 0.1, "reward": "team"}),
    ("relay-signal", {"cue": "none"}),
]
INPUT_FIELDS = ("observation", "action_mask", "hears", "present")
every_case = pytest.mark.parametrize(("name", "parameters"), CASES, ids=lambda value: str(value)[:40])


@every_case
def test_shapes_types_and_spec_agree(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=3, parameters=parameters)
    spec = environment.spec
    for entry in episode(environment, np.arange(3), action_seed=0):
        agent_inputs = entry.agent_inputs if isinstance(entry, Transition) else entry
        assert agent_inputs.observation.shape == (3, spec.agents, spec.observation_size)
        assert agent_inputs.observation.dtype == np.float32
        assert agent_inputs.action_mask.shape == (3, spec.agents, spec.actions)
        assert agent_inputs.action_mask.any(-1).all()
        assert agent_inputs.action_mask.all() != spec.has_action_mask
        assert agent_inputs.hears.shape == (3, spec.agents, spec.agents)
        assert not agent_inputs.hears[:, np.arange(spec.agents), np.arange(spec.agents)].any()
        assert agent_inputs.present.all()
        if spec.complete_graph:
            assert agent_inputs.hears.sum() == 3 * spec.agents * (spec.agents - 1)
    assert registry.make(name, count=1, parameters=spec.parameters).spec == spec


@every_case
def test_episodes_have_a_fixed_length_and_end_by_time(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=2, parameters=parameters)
    steps = [entry for entry in episode(environment, np.arange(2), action_seed=1) if isinstance(entry, Transition)]
    for transition in steps[:-1]:
        assert not transition.over.any()
        assert np.isnan(transition.outcome).all()
    assert steps[-1].over.all()
    assert np.isin(steps[-1].outcome, (0, 1)).all()
    for transition in steps:
        assert not transition.terminated.any()
        assert (transition.truncated == transition.over).all()


@every_case
def test_a_seed_repeats_its_episode_whatever_came_before_and_beside(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=3, parameters=parameters)
    seeds = np.array([5, 2**62, 5])
    first = episode(environment, seeds, action_seed=3)
    episode(environment, np.array([8, 9, 10]), action_seed=4)
    again = episode(environment, seeds, action_seed=3)
    for copy in range(3):
        assert flat(first, copy=copy) == flat(again, copy=copy)
    # The same seed in another copy starts alike; its noise too is its own.
    assert flat(first[:1], copy=0) == flat(first[:1], copy=2)
    assert first[0].observation[0].tobytes() != first[0].observation[1].tobytes() or parameters.get("cue") == "none"


@every_case
def test_resetting_some_copies_leaves_the_others_alone(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=3, parameters=parameters)
    before = environment.reset(np.arange(3))
    moved = environment.step(random_actions(before, np.random.default_rng(0))).agent_inputs
    after = environment.reset(np.array([1]), copies=np.array([1]))
    for copy, expected in ((0, moved), (1, before), (2, moved)):
        assert after.observation[copy].tobytes() == expected.observation[copy].tobytes()
    # The copies are now at different steps and end at different times.
    for remaining in range(environment.spec.episode_limit - 1, 0, -1):
        transition = environment.step(random_actions(after, np.random.default_rng(remaining)))
        after = transition.agent_inputs
    assert transition.over.tolist() == [True, False, True]


@every_case
def test_what_was_given_and_returned_is_never_written_to(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=3, parameters=parameters)
    seeds = np.arange(3)
    agent_inputs = environment.reset(seeds)
    actions = random_actions(agent_inputs, np.random.default_rng(0))
    transition = environment.step(actions)
    arrays = [seeds, actions, transition.reward, transition.over, transition.truncated, transition.outcome]
    arrays += [getattr(shown, field) for shown in (agent_inputs, transition.agent_inputs) for field in INPUT_FIELDS]
    before = [array.tobytes() for array in arrays]
    later = environment.reset(seeds + 10)
    environment.step(random_actions(later, np.random.default_rng(1)))
    assert [array.tobytes() for array in arrays] == before


def test_relay_observations_hold_the_own_cell_and_the_next_agents_target() -> None:
    environment = registry.make("relay", count=20, parameters={"agents": 3})
    observation = environment.reset(np.arange(20)).observation
    position, target = places(environment)
    own, cue = observation[..., :9], observation[..., 9:]
    assert (own.sum(-1) == 1).all()
    assert (own.argmax(-1) == position @ (3, 1)).all()
    for agent in range(3):
        assert (cue[:, agent].argmax(-1) == target[:, (agent + 1) % 3] @ (3, 1)).all()


@pytest.mark.parametrize("name", ["relay", "relay-signal"])
def test_cue_own_shows_the_own_target_and_cue_none_nothing(name: str) -> None:
    own = registry.make(name, count=20, parameters={"cue": "own"})
    none = registry.make(name, count=20, parameters={"cue": "none"})
    size = none.spec.actions if name == "relay-signal" else 9
    shown = own.reset(np.arange(20)).observation[..., -size:]
    targets = own.state().reshape(20, -1, size)[:, -2:]
    assert (shown == targets).all()
    assert not none.reset(np.arange(20)).observation[..., -size:].any()


def test_noise_has_the_given_deviation_and_is_new_at_every_step() -> None:
    noisy = registry.make("relay", count=200, parameters={"observation_noise": 0.5})
    clean = registry.make("relay", count=200)
    first = noisy.reset(np.arange(200)).observation - clean.reset(np.arange(200)).observation
    stay = np.zeros((200, 2), dtype=int)
    second = noisy.step(stay).agent_inputs.observation - clean.step(stay).agent_inputs.observation
    for noise in (first, second):
        assert abs(noise.std() - 0.5) < 0.02
        assert abs(noise.mean()) < 0.03
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_relay_moves_and_masks_follow_the_grid() -> None:
    environment = registry.make("relay", count=200)
    agent_inputs = environment.reset(np.arange(200))
    for step in range(6):
        position, _ = places(environment)
        for copy, agent, action in itertools.product(range(200), range(2), range(5)):
            inside = ((position[copy, agent] + MOVES[action] >= 0) & (position[copy, agent] + MOVES[action] < 3)).all()
            assert agent_inputs.action_mask[copy, agent, action] == inside
        actions = random_actions(agent_inputs, np.random.default_rng(step))
        agent_inputs = environment.step(actions).agent_inputs
        assert (places(environment)[0] == position + MOVES[actions]).all()


def test_relay_rewards_distance_gained_and_standing_on_the_target() -> None:
    environment = registry.make("relay", count=300)
    agent_inputs = environment.reset(np.arange(300))
    before, target = places(environment)
    transition = environment.step(random_actions(agent_inputs, np.random.default_rng(0)))
    after, _ = places(environment)
    for copy, agent in itertools.product(range(300), range(2)):
        goal = target[copy, agent]
        gained = abs(before[copy, agent] - goal).sum() - abs(after[copy, agent] - goal).sum()
        bonus = 0.5 if (after[copy, agent] == goal).all() else 0.0
        assert transition.reward[copy, agent] == 0.5 * gained + bonus


@every_case
def test_team_reward_is_the_mean(name: str, parameters: dict[str, Any]) -> None:
    alone = registry.make(name, count=8, parameters=parameters | {"reward": "individual"})
    together = registry.make(name, count=8, parameters=parameters | {"reward": "team"})
    for own, shared in zip(
        episode(alone, np.arange(8), action_seed=2)[1:], episode(together, np.arange(8), action_seed=2)[1:], strict=True
    ):
        assert shared.reward == pytest.approx(np.repeat(own.reward.mean(1, keepdims=True), own.reward.shape[1], 1))


def test_signal_rewards_whoever_plays_the_next_agents_cue() -> None:
    environment = registry.make("relay-signal", count=100, parameters={"agents": 3})
    cue = environment.reset(np.arange(100)).observation.argmax(-1)
    actions = np.random.default_rng(0).integers(4, size=(100, 3))
    reward = environment.step(actions).reward
    for agent in range(3):
        assert (reward[:, agent] == (actions[:, agent] == cue[:, (agent + 1) % 3])).all()


@pytest.mark.parametrize(("name", "offset"), [("relay", -1), ("relay-signal", 1)])
def test_in_a_ring_everyone_hears_the_one_that_sees_its_target(name: str, offset: int) -> None:
    environment = registry.make(name, count=1, parameters={"agents": 4, "hears": "ring"})
    hears = environment.reset(np.array([0])).hears[0]
    assert [np.flatnonzero(row).tolist() for row in hears] == [[(agent + offset) % 4] for agent in range(4)]


def test_range_is_directed_by_slot_and_measured_in_kings_moves() -> None:
    ranged = RelaySettings(agents=3, size=5, hears="range", range=1)
    position = np.array([[[0, 0], [2, 2], [1, 1]]])
    # Slot 1, odd, hears two cells far; slots 0 and 2 hear one cell far.
    assert neighbour_graph(ranged, position)[0].tolist() == [
        [False, False, True],
        [True, False, True],
        [True, True, False],
    ]


def test_distances_are_those_by_which_hearing_ranges_are_measured() -> None:
    environment = registry.make("relay", count=8, parameters={"agents": 4, "size": 6, "hears": "range", "range": 2})
    agent_inputs = environment.reset(np.arange(8))
    for _ in range(4):
        distances = environment.distances()
        assert distances.dtype == np.float32
        assert np.array_equal(agent_inputs.hears[:, 0], (distances <= 2)[:, 0] & (np.arange(4) > 0))
        agent_inputs = environment.step(agent_inputs.action_mask.argmax(-1)).agent_inputs


def test_range_changes_as_agents_move() -> None:
    environment = registry.make("relay", count=32, parameters={"agents": 3, "size": 5, "hears": "range"})
    graphs = [
        (entry.agent_inputs if isinstance(entry, Transition) else entry).hears
        for entry in episode(environment, np.arange(32), action_seed=0)
    ]
    stacked = np.stack(graphs)
    assert (stacked != np.swapaxes(stacked, -1, -2)).any()
    assert (stacked[1:] != stacked[:-1]).any()
    assert not environment.spec.complete_graph


@pytest.mark.parametrize("actions", [[[0, 5]], [[0, -1]], [[0]], [[0.0, 1.0]], [[0, 0], [0, 0]]])
def test_impossible_actions_are_refused(actions: list) -> None:
    environment = registry.make("relay", count=1)
    environment.reset(np.array([0]))
    with pytest.raises(WorldError, match="action"):
        environment.step(np.array(actions))


def test_an_illegal_move_names_agent_and_copy_and_changes_nothing() -> None:
    environment = registry.make("relay", count=2)
    agent_inputs = environment.reset(np.array([0, 1]))
    actions = np.zeros((2, 2), dtype=int)
    actions[1, 0] = int(np.argmin(agent_inputs.action_mask[1, 0]))
    assert not agent_inputs.action_mask[1, 0, actions[1, 0]], "choose a seed with an agent at the edge"
    state = environment.state()
    with pytest.raises(WorldError, match=f"action {actions[1, 0]} of agent 0 in copy 1 is illegal"):
        environment.step(actions)
    assert (environment.state() == state).all()


def test_a_copy_without_an_episode_is_not_stepped() -> None:
    environment = registry.make("relay-signal", count=2, parameters={"length": 1})
    with pytest.raises(WorldError, match="copy 0 has no running episode"):
        environment.step(np.zeros((2, 2), dtype=int))
    environment.reset(np.array([0, 1]))
    environment.step(np.zeros((2, 2), dtype=int))
    environment.reset(np.array([2]), copies=np.array([0]))
    with pytest.raises(WorldError, match="copy 1 has no running episode"):
        environment.step(np.zeros((2, 2), dtype=int))


@pytest.mark.parametrize(
    ("seeds", "copies", "complaint"),
    [([0], None, "1 seeds for 2 copies"), ([-1, 0], None, "seed -1"), ([0], [2], "there are 2"), ([0], [-1], "are 2")],
)
def test_impossible_resets_are_refused(seeds: list[int], copies: list[int] | None, complaint: str) -> None:
    environment = registry.make("relay", count=2)
    with pytest.raises(WorldError, match=complaint):
        environment.reset(np.array(seeds), copies=None if copies is None else np.array(copies))


@given(
    st.dictionaries(
        st.sampled_from(["agents", "size", "length", "cue", "hears", "range", "reward", "observation_noise", "colour"]),
        st.one_of(st.integers(-2, 6), st.floats(-1, 1), st.sampled_from(["own", "none", "ring", "range", "team"])),
        max_size=4,
    )
)
@settings(max_examples=60)
def test_any_parameters_make_a_world_or_a_settings_error(parameters: dict[str, Any]) -> None:
    try:
        environment = registry.make("relay", count=1, parameters=parameters)
    except SettingsError:
        return
    history = episode(environment, np.array([0]), action_seed=0)
    assert history[-1].over.all()


@every_case
def test_pictures_show_every_agent_and_change_with_the_world(name: str, parameters: dict[str, Any]) -> None:
    environment = registry.make(name, count=2, parameters=parameters)
    agent_inputs = environment.reset(np.array([3, 4]))
    before = environment.render(1)
    assert before.dtype == np.uint8
    assert before.ndim == 3
    assert before.shape[2] == 3
    assert len(np.unique(before.reshape(-1, 3), axis=0)) >= 2 + environment.spec.agents
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(environment.spec.episode_limit):
        agent_inputs = environment.step(random_actions(agent_inputs, random)).agent_inputs
        pictures.append(environment.render(1))
    assert any((picture != before).any() for picture in pictures)
