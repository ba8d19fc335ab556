"""PettingZoo both ways: our tasks as parallel environments, foreign ones as ours, and what is said when they break."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import foreign_team
import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.parallel import ParallelVector, as_parallel
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import MissingExtra, SettingsError, UnknownEnvironment, WorldError

STAY = np.zeros((1, 2), dtype=int)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("relay", {}),
        ("relay", {"agents": 3, "hears": "range", "observation_noise": 0.1}),
        ("relay-signal", {}),
        ("foreign_team:make", {"scout_leaves": 2}),
        ("foreign_team:make", {"scout_leaves": 2, "scout_cut": True, "carrier_ends": 4}),
        ("mpe2.simple_speaker_listener_v4", {}),
    ],
)
def test_our_view_passes_pettingzoos_own_test(
    parallel_api_test: Callable[..., None], name: str, parameters: dict[str, Any]
) -> None:
    parallel_api_test(
        as_parallel(registry.make(name, count=1, parameters=parameters, permission=EVERYTHING)), num_cycles=60
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("relay", {"agents": 3, "hears": "range", "observation_noise": 0.1}), ("relay-signal", {"hears": "ring"})],
)
def test_there_and_back_again_nothing_is_lost(name: str, parameters: dict[str, Any]) -> None:
    ours = registry.make(name, count=2, parameters=parameters)
    back = ParallelVector(
        lambda: as_parallel(registry.make(name, count=1, parameters=parameters, permission=EVERYTHING)), count=2
    )
    assert (back.spec.agents, back.spec.observation_size, back.spec.actions, back.spec.episode_limit) == (
        ours.spec.agents,
        ours.spec.observation_size,
        ours.spec.actions,
        ours.spec.episode_limit,
    )
    assert (back.spec.outcome, back.spec.complete_graph) == (ours.spec.outcome, ours.spec.complete_graph)
    seeds = np.array([7, 8])
    left, right = ours.reset(seeds), back.reset(seeds)
    random = np.random.default_rng(0)
    for _ in range(ours.spec.episode_limit):
        for field in ("observation", "action_mask", "hears", "present"):
            assert (getattr(left, field) == getattr(right, field)).all(), field
        assert (ours.state() == back.state()).all()
        actions = (random.random(left.action_mask.shape) * left.action_mask).argmax(-1)
        stepped, again = ours.step(actions), back.step(actions)
        for field in ("reward", "terminated", "truncated", "over"):
            assert (getattr(stepped, field) == getattr(again, field)).all(), field
        assert np.array_equal(stepped.outcome, again.outcome, equal_nan=True)
        left, right = stepped.agent_inputs, again.agent_inputs
    assert (ours.render(1) == back.render(1)).all()


def test_a_view_repeats_a_seed_and_goes_on_to_new_episodes_without_one() -> None:
    view = as_parallel(registry.make("relay-signal", count=1, parameters={"symbols": 64}))

    def shown(seed: int | None) -> list[int]:
        observations, _ = view.reset(seed=seed)
        return [int(observations[agent].argmax()) for agent in view.possible_agents]

    first = [shown(3), shown(None), shown(None)]
    assert [shown(3), shown(None), shown(None)] == first
    assert len({tuple(cues) for cues in first}) == 3


def test_sizes_are_asked_for_and_padded_with_the_agents_identity() -> None:
    world = ParallelVector(foreign_team.make, count=2)
    assert (world.spec.agents, world.spec.observation_size, world.spec.actions) == (2, 3 + 2, 4)
    assert (world.spec.episode_limit, world.spec.outcome, world.spec.has_action_mask) == (5, "return", True)
    agent_inputs = world.reset(np.array([1, 2]))
    assert (agent_inputs.observation[:, 0, 2] == 0).all()
    assert agent_inputs.observation[:, :, 3:].tolist() == [[[1, 0], [0, 1]]] * 2
    assert agent_inputs.action_mask.tolist() == [[[True, True, False, False], [True] * 4]] * 2
    plain, _ = foreign_team.make().reset(seed=2)
    assert agent_inputs.observation[1, 0, :2].tolist() == plain["scout"].tolist()
    assert agent_inputs.observation[1, 1, :3].tolist() == plain["carrier"].ravel().tolist()


def test_time_is_no_termination_and_the_last_state_is_shown() -> None:
    world = ParallelVector(foreign_team.make, count=1)
    world.reset(np.array([0]))
    for _ in range(5):
        transition = world.step(np.array([[1, 2]]))
    assert (transition.over[0], transition.truncated[0]) == (True, True)
    assert not transition.terminated.any()
    assert transition.agent_inputs.present.all()
    assert transition.agent_inputs.observation[0, 0, 0] > 0
    assert transition.reward.tolist() == [[1.0, 12.0]], "the environment numbers the carrier's actions from 10"
    assert transition.outcome[0] == (5 * 1 + 5 * 12) / 2


def test_a_termination_of_all_is_no_truncation() -> None:
    world = ParallelVector(lambda: foreign_team.make(scout_leaves=2, carrier_ends=3), count=1)
    world.reset(np.array([0]))
    overs = []
    for _ in range(3):
        transition = world.step(STAY)
        overs.append(bool(transition.over[0]))
    assert overs == [False, False, True]
    assert not transition.truncated[0]
    assert transition.terminated.all()
    assert not transition.agent_inputs.present.any()
    assert not transition.agent_inputs.observation.any()


@pytest.mark.parametrize("cut", [False, True])
def test_an_agent_that_leaves_early_becomes_absorbing(cut: bool) -> None:
    world = ParallelVector(lambda: foreign_team.make(scout_leaves=2, scout_cut=cut), count=1)
    world.reset(np.array([0]))
    world.step(np.array([[1, 0]]))
    leaving = world.step(np.array([[1, 0]]))
    assert leaving.reward[0, 0] == 1
    for transition in (leaving, world.step(np.array([[1, 0]])), world.step(np.array([[0, 0]]))):
        assert transition.agent_inputs.present.tolist() == [[False, True]]
        assert not transition.agent_inputs.observation[0, 0].any()
        assert transition.agent_inputs.action_mask[0, 0].tolist() == [True, True, False, False]
        assert transition.terminated.tolist() == [[not cut, False]]
        assert not transition.over[0]
    assert transition.reward[0].tolist() == [0.0, 10.0]
    assert world.step(STAY).truncated[0]


@pytest.mark.parametrize("name", ["neighbours", "hears"])
def test_neighbours_masks_and_success_are_taken_where_they_are_offered(name: str) -> None:
    world = ParallelVector(lambda: foreign_team.make(carrier_ends=2, offers=(name, "won", "mask")), count=1)
    assert (world.spec.complete_graph, world.spec.outcome) == (False, "won")
    agent_inputs = world.reset(np.array([0]))
    assert agent_inputs.hears[0].tolist() == [[False, True], [False, False]]
    assert agent_inputs.action_mask[0].tolist() == [[False, True, False, False], [False, True, True, True]]
    transition = world.step(np.array([[1, 1]]))
    assert transition.agent_inputs.hears[0].tolist() == [[False, False], [True, False]]
    with pytest.raises(WorldError, match="action 0 of agent 0 in copy 0 is illegal"):
        world.step(np.array([[0, 1]]))


def test_success_is_that_of_the_last_step() -> None:
    world = ParallelVector(lambda: foreign_team.make(scout_leaves=2, carrier_ends=3, offers=("won",)), count=1)
    world.reset(np.array([0]))
    outcomes = [float(world.step(STAY).outcome[0]) for _ in range(3)]
    assert np.isnan(outcomes[:2]).all()
    assert outcomes[2] == 1.0


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("nan", "field 'observation' of agent 'carrier' holds nan"),
        ("shape", r"field 'observation' of agent 'carrier' has shape \(4,\), its space says \(3, 1\)"),
        ("missing", "field 'observation' of agent 'carrier' is missing"),
        ("reward", "field 'reward' of agent 'carrier' is inf"),
    ],
)
def test_a_step_that_breaks_a_promise_names_adapter_field_and_agent(fault: str, complaint: str) -> None:
    world = registry.make("foreign_team:make", count=1, parameters={"fault": fault}, permission=EVERYTHING)
    world.reset(np.array([0]))
    with pytest.raises(WorldError, match=f"adapter of 'foreign_team:make': {complaint}"):
        world.step(STAY)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("reset", "reset raised ZeroDivisionError: by the environment itself"),
        ("mask", "field 'action_mask' of agent 'scout' allows no action"),
        ("hears", "field 'hears' of agent 'scout' names 'nobody'"),
    ],
)
def test_a_world_that_cannot_be_used_says_so_before_its_first_step(fault: str, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of 'foreign_team:make': .*{complaint}"):
        registry.make("foreign_team:make", count=1, parameters={"fault": fault}, permission=EVERYTHING).reset(
            np.array([0])
        )


def test_a_limit_that_cannot_be_found_must_be_given() -> None:
    with pytest.raises(WorldError, match=r"no episode limit found.*step_limit"):
        registry.make("foreign_team:make_quiet", count=1, permission=EVERYTHING)
    world = registry.make("foreign_team:make_quiet", count=1, parameters={"step_limit": 2}, permission=EVERYTHING)
    assert world.spec.episode_limit == 2
    world.reset(np.array([0]))
    assert not world.step(STAY).over[0]
    last = world.step(STAY)
    assert (last.over[0], last.truncated[0]) == (True, True)
    assert last.agent_inputs.present.all()
    with pytest.raises(WorldError, match="no running episode"):
        world.step(STAY)


def test_a_large_seed_reaches_simulators_that_want_small_ones_and_stays_apart() -> None:
    world = ParallelVector(foreign_team.make, count=3)
    observation = world.reset(np.array([5, 5 + 2**32, 5 + 2**33])).observation
    assert len({observation[copy].tobytes() for copy in range(3)}) == 3
    assert world.reset(np.array([5, 5 + 2**32, 5 + 2**33])).observation.tobytes() == observation.tobytes()


@pytest.mark.slow
def test_simple_spread_is_found_by_asking_and_scores_like_random() -> None:
    world = registry.make("mpe2.simple_spread_v3", count=4)
    assert (world.spec.agents, world.spec.observation_size, world.spec.actions) == (3, 18, 5)
    assert (world.spec.episode_limit, world.spec.outcome, world.spec.complete_graph) == (25, "return", True)
    random = np.random.default_rng(0)
    outcomes: list[float] = []
    for start in range(0, 40, 4):
        world.reset(np.arange(start, start + 4))
        for _ in range(25):
            transition = world.step(random.integers(5, size=(4, 3)))
        assert transition.truncated.all()
        outcomes += transition.outcome.tolist()
    # -27.6 per agent with a standard deviation of 10 over episodes; four standard errors of 40.
    assert abs(np.mean(outcomes) + 27.6) < 4 * 10 / np.sqrt(40)
    world.close()


def test_simple_spread_repeats_a_seed_on_the_same_object() -> None:
    world = registry.make("mpe2.simple_spread_v3", count=1)
    shown = []
    for seed in (3, 4, 3):
        world.reset(np.array([seed]))
        shown.append(world.step(np.array([[1, 2, 3]])).agent_inputs.observation.tobytes())
    assert shown[0] == shown[2]
    assert shown[0] != shown[1]


def test_a_foreign_picture_needs_its_render_mode_which_is_no_part_of_the_world() -> None:
    silent = registry.make("mpe2.simple_spread_v3", count=1)
    drawing = registry.make("mpe2.simple_spread_v3", count=1, parameters={"render_mode": "rgb_array", "N": 2})
    assert drawing.spec.parameters == {"N": 2}
    drawing.reset(np.array([0]))
    picture = drawing.render()
    assert picture.dtype == np.uint8
    assert len(np.unique(picture)) > 2
    silent.reset(np.array([0]))
    with pytest.warns(UserWarning, match="render"), pytest.raises(WorldError, match="render_mode='rgb_array'"):
        silent.render()


@pytest.mark.parametrize("name", ["nowhere", "", "Relay"])
def test_an_unknown_id_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownEnvironment, match=r"relay, relay-signal, .*9 of mpe2.*module:factory"):
        registry.make(name, count=1, permission=EVERYTHING)


@pytest.mark.parametrize("path", ["mpe2.no_such_world", "foreign_team:nothing", "json.decoder"])
def test_an_import_path_without_a_factory_is_named(path: str) -> None:
    with pytest.raises(UnknownEnvironment):
        registry.make(path, count=1, permission=EVERYTHING)


def test_an_unknown_parameter_lists_the_valid_ones() -> None:
    with pytest.raises(SettingsError, match=r"unknown key speed .*agents.*size"):
        registry.make("relay", count=1, parameters={"speed": 1})
    with pytest.raises(SettingsError, match=r"speed.*Valid are .*max_cycles.*step_limit"):
        registry.make("mpe2.simple_spread_v3", count=1, parameters={"speed": 1}, permission=EVERYTHING)


def test_a_missing_extra_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "mpe2"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mpe2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'heliograph\[mpe\]'"):
        registry.make("mpe2.simple_spread_v3", count=1)
    rows = {row.id: row for row in registry.known()}
    assert not rows["mpe2.simple_spread_v3"].installed
    assert rows["mpe2.simple_spread_v3"].install == "pip install 'heliograph[mpe]'"
    assert rows["relay"].installed


@pytest.mark.parametrize("count", [0, -1])
def test_no_copies_are_refused(count: int) -> None:
    for name in ("relay", "relay-signal", "foreign_team:make"):
        with pytest.raises(WorldError, match=f"at least one copy, not {count}"):
            registry.make(name, count=count, permission=EVERYTHING)
