"""Matrix games: payoffs, the clock and the end, what a team can reach without messages, bad input, pictures."""

from __future__ import annotations

import numpy as np
import pytest
from relay_play import episode, flat

from heliograph.environments import registry
from heliograph.environments.conformance import examine
from heliograph.environments.matrix.games import GAMES
from heliograph.environments.parallel import as_parallel
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import SettingsError, WorldError

every_game = pytest.mark.parametrize("game", GAMES)


@every_game
def test_both_agents_get_what_the_table_says_of_row_and_column(game: str) -> None:
    world = registry.make("matrix", count=9, parameters={"game": game, "length": 2})
    world.reset(np.arange(9))
    both = np.stack(np.divmod(np.arange(9), 3), axis=1)
    for _ in range(2):
        transition = world.step(both)
        assert np.array_equal(transition.reward, np.repeat(np.ravel(GAMES[game].table)[:, None], 2, axis=1))
    assert np.array_equal(transition.outcome, 2 * np.ravel(GAMES[game].table))


def test_only_mixed_choices_cost_the_penalty_that_is_given() -> None:
    world = registry.make("matrix-penalty", count=9, parameters={"penalty": -7.0})
    world.reset(np.arange(9))
    paid = world.step(np.stack(np.divmod(np.arange(9), 3), axis=1)).reward[:, 0]
    assert paid.reshape(3, 3).tolist() == [[10, 0, -7], [0, 2, 0], [-7, 0, 10]]
    with pytest.raises(SettingsError, match="penalty"):
        registry.make("matrix-penalty", count=1, parameters={"penalty": 1.0})


@pytest.mark.parametrize(("game", "optimum"), [("climbing", 110), ("penalty", 100), ("qtran", 80)])
def test_the_optimum_is_the_bound_of_a_team_without_messages_and_the_reference_reaches_it(
    game: str, optimum: float
) -> None:
    name = f"matrix-{game}"
    assert registry.make(name, count=1).spec.blind_bound == optimum
    assert run_reference(name, "optimum", episodes=3, seed=0).outcome.tolist() == [optimum] * 3
    assert run_reference(name, "random", episodes=20, seed=0).outcome.max() < optimum


@every_game
def test_the_clock_runs_and_the_last_step_is_a_termination(game: str) -> None:
    world = registry.make(f"matrix-{game}", count=2, parameters={"length": 4})
    history = episode(world, np.arange(2), action_seed=0)
    for step, entry in enumerate(history):
        agent_inputs = entry.agent_inputs if isinstance(entry, Transition) else entry
        assert agent_inputs.action_mask.all()
        assert agent_inputs.hears.sum() == 4
        if isinstance(entry, Transition):
            assert not entry.truncated.any()
            assert (entry.terminated == (step == 4)).all()
            assert (entry.over == (step == 4)).all()
            assert np.isnan(entry.outcome).all() == (step < 4)
        if step < 4:
            assert agent_inputs.present.all()
            assert agent_inputs.observation[0].tolist() == [[1, 0, step / 4], [0, 1, step / 4]]
        else:
            assert not agent_inputs.present.any()
            assert not agent_inputs.observation.any()


def test_resetting_one_copy_leaves_the_other_alone() -> None:
    world = registry.make("matrix", count=2, parameters={"length": 3})
    world.reset(np.array([1, 2]))
    world.step(np.zeros((2, 2), dtype=np.int64))
    agent_inputs = world.reset(np.array([5]), np.array([1]))
    assert agent_inputs.observation[:, 0, 2].tolist() == [np.float32(1 / 3), 0]
    for _ in range(2):
        transition = world.step(np.zeros((2, 2), dtype=np.int64))
    assert transition.over.tolist() == [True, False]
    assert transition.outcome[0] == 33
    with pytest.raises(WorldError, match="copy 0 has no running episode"):
        world.step(np.zeros((2, 2), dtype=np.int64))


def test_an_episode_repeats_and_its_spec_makes_it_again() -> None:
    world = registry.make("matrix-qtran", count=2, parameters={"length": 5})
    first = episode(world, np.array([3, 4]), action_seed=1)
    again = episode(registry.make("matrix", count=2, parameters=world.spec.parameters), np.array([3, 4]), action_seed=1)
    assert [flat(first, copy=copy) for copy in (0, 1)] == [flat(again, copy=copy) for copy in (0, 1)]


@every_game
def test_it_keeps_every_rule_of_a_parallel_environment(game: str) -> None:
    name = f"matrix-{game}"
    assert examine(lambda: as_parallel(registry.make(name, count=1)), environment=name).keeps_all


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [([[0, 3]], r"action outside 0\.\.2: 0\.\.3"), ([[0]], r"must be integers \(1, 2\)"), ([[0.5, 1]], "float64")],
)
def test_actions_that_the_game_does_not_have_are_told(actions: list[list[float]], complaint: str) -> None:
    world = registry.make("matrix", count=1)
    world.reset(np.array([0]))
    with pytest.raises(WorldError, match=complaint):
        world.step(np.array(actions))


def test_what_is_no_game_is_told() -> None:
    with pytest.raises(SettingsError, match="climbing"):
        registry.make("matrix", count=1, parameters={"game": "chess"})
    with pytest.raises(WorldError, match="at least one copy, not 0"):
        registry.make("matrix", count=0)


def test_the_picture_shows_the_best_choices_and_the_latest_one() -> None:
    world = registry.make("matrix-penalty", count=2)
    started: AgentInputs = world.reset(np.array([0, 1]))
    assert started.present.all()
    before = world.render(1)
    assert before.shape == (145, 145, 3)
    assert (before[:48, :48] != before[48:96, :48]).any(), "a ring around one of the best"
    world.step(np.array([[0, 0], [1, 0]]))
    after = world.render(1)
    assert (after != before).any(-1).nonzero()[0].min() >= 48
    assert (after != before).any(-1).nonzero()[1].max() < 48


def test_in_the_two_step_game_agent_0_chooses_the_table_that_both_then_choose_from() -> None:
    world = registry.make("matrix-two-step", count=8)
    choices = np.array([[table, row, column] for table in (0, 1) for row in (0, 1) for column in (0, 1)])
    begin = world.reset(np.arange(8))
    assert begin.observation[3].tolist() == [[1, 0, 1, 0, 0], [0, 1, 1, 0, 0]]
    between = world.step(np.stack([choices[:, 0], 1 - choices[:, 0]], axis=1))
    assert not between.reward.any()
    assert not between.over.any()
    states = [[0, 1, 0]] * 4 + [[0, 0, 1]] * 4
    assert between.agent_inputs.observation[:, 1, 2:].tolist() == states
    assert world.state().tolist() == states
    last = world.step(choices[:, 1:])
    assert last.outcome.tolist() == [7, 7, 7, 7, 0, 1, 1, 8]
    assert np.array_equal(last.reward, np.repeat(last.outcome[:, None], 2, axis=1))
    assert last.terminated.all()
    assert not last.agent_inputs.present.any()
    with pytest.raises(WorldError, match="no running episode"):
        world.step(choices[:, 1:])
    assert world.spec.blind_bound == 8
    assert run_reference("matrix-two-step", "optimum", episodes=3, seed=0).outcome.tolist() == [8] * 3


def test_the_two_step_game_keeps_every_rule_resets_copies_alone_and_is_drawn() -> None:
    assert examine(
        lambda: as_parallel(registry.make("matrix-two-step", count=1)), environment="matrix-two-step"
    ).keeps_all
    world = registry.make("matrix-two-step", count=2)
    world.reset(np.array([0, 1]))
    before = world.render(0)
    world.step(np.array([[1, 0], [0, 0]]))
    assert np.array_equal(world.render(0), before), "the choice of a table is not one in it"
    world.step(np.array([[1, 1], [0, 1]]))
    for copy, half in ((0, slice(145, None)), (1, slice(0, 97))):
        changed = (world.render(copy) != before).any(-1).nonzero()[1]
        assert changed.size
        assert set(changed.tolist()) <= set(range(241)[half])
    agent_inputs = world.reset(np.array([5]), np.array([0]))
    assert agent_inputs.present[:, 0].tolist() == [True, False]
    with pytest.raises(WorldError, match="at least one copy, not 0"):
        registry.make("matrix-two-step", count=0)
