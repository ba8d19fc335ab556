"""What the collector writes is what happened, and a restored collector goes on where the saved one stood."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from collecting import collect, collector_of, episodes_in
from tiny_team import small_team

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import VectorEnvironment
from heliograph.seeds import episode_seed
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings

GAME = "waiting_game:make"
COPIES = 4
CPU = torch.device("cpu")


def game(count: int = COPIES, **parameters: Any) -> VectorEnvironment:
    return registry.make(GAME, count=count, parameters=parameters, permission=EVERYTHING)


@pytest.mark.parametrize(
    ("environment", "parameters"),
    [
        (GAME, {}),
        (GAME, {"all_heard": True, "early_leavers": False}),
        ("relay", {"agents": 3, "hears": "range", "observation_noise": 0.1}),
    ],
)
def test_rows_are_what_the_same_episodes_are_when_played_again(environment: str, parameters: dict[str, Any]) -> None:
    collector = collector_of(
        registry.make(environment, count=COPIES, parameters=parameters, permission=EVERYTHING), keeps_state=True
    )
    collect(collector, 40)
    alone = registry.make(environment, count=1, parameters=parameters, permission=EVERYTHING)
    lengths, kinds = set(), set()
    for number, episode in enumerate(episodes_in(collector.replay)):
        rows = episode.rows
        agent_inputs = alone.reset(np.array([episode_seed(run_seed=7, episode=number)]))
        assert rows["first"].tolist() == [True] + [False] * (len(rows["first"]) - 1)
        for row in range(episode.steps + 1):
            for name in ("observation", "action_mask", "present"):
                assert np.array_equal(rows[name][row], getattr(agent_inputs, name)[0]), name
            if alone.spec.state_size:
                assert np.array_equal(rows["state"][row], alone.state()[0])
            # An agent that has left says nothing; until a step after, its last message is heard.
            spoke = rows["present"][max(row - 1, 0)]
            assert np.array_equal(rows["hears"][row], agent_inputs.hears[0] & spoke)
            if row == episode.steps:
                break
            transition = alone.step(rows["action"][row + 1][None].astype(np.int64))
            agent_inputs = transition.agent_inputs
            assert np.array_equal(rows["reward"][row + 1], transition.reward[0])
            assert np.array_equal(rows["terminated"][row + 1], transition.terminated[0])
            assert transition.over[0] == (row + 1 == episode.steps and not episode.running)
        absorbing = len(rows["first"]) - 1 - episode.steps
        assert absorbing == (2 if episode.steps and rows["terminated"][episode.steps].all() else 0)
        if absorbing:
            assert len(np.unique(rows["action"][-2:], axis=0)) == 1, "the action is repeated"
            assert rows["action_mask"][-2:].all()
            assert rows["hears"][-2:].any() == alone.spec.complete_graph
        lengths.add(episode.steps)
        kinds.add(absorbing)
    assert number + 1 == collector.episodes_started
    assert collector.env_steps == 40 * COPIES
    if environment == GAME:
        assert lengths >= {2, 3, 4, 5}
        assert kinds == {0, 2}


def test_outcome_return_and_length_are_of_the_episodes_that_ended() -> None:
    collector = collector_of(game())
    parts = [collect(collector, 2) for _ in range(15)]  # episodes run on from call to call
    outcome, team_return, length = (
        [value for part in parts for value in getattr(part, name)] for name in ("outcome", "team_return", "length")
    )
    over = [episode for episode in episodes_in(collector.replay) if not episode.running]
    ended = sorted(over, key=lambda episode: (episode.start + episode.steps, episode.copy))
    assert len(ended) > 20
    assert length == [episode.steps for episode in ended]
    returns = [episode.rows["reward"].sum(0).mean() for episode in ended]
    assert team_return == pytest.approx(returns, abs=1e-5)
    assert set(outcome) == {0.0, 1.0}
    # Won where the last joint action adds up to an even number; of an agent that left, its last one counts.
    present = [episode for episode in ended if episode.rows["present"][1].all()]
    assert len(present) > 10
    for episode in present:
        won = episode.rows["action"][episode.steps].sum() % 2 == 0
        assert outcome[ended.index(episode)] == won


@pytest.mark.parametrize("terminal", [False, True])
def test_a_time_limit_is_an_end_only_if_the_settings_say_so(terminal: bool) -> None:
    collector = collector_of(registry.make("relay", count=2, parameters={}), time_limit_is_terminal=terminal)
    collect(collector, 13)
    rows = [row for episode in episodes_in(collector.replay) for row in episode.rows["terminated"][:7].tolist()]
    last = [row for index, row in enumerate(rows) if index % 7 == 6]
    assert all(row == [terminal, terminal] for row in last[:4])
    assert sum(map(sum, rows)) == (8 if terminal else 0)
    # No agent is gone: a time limit leaves no absorbing rows either way.
    assert bool(collector.replay.state()["present"][:, :14].all())


@pytest.mark.parametrize("done", [0, 1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("environment", [GAME, "relay"])
def test_a_restored_collector_collects_what_the_saved_one_would_have(environment: str, done: int) -> None:
    saved = collector_of(
        registry.make(environment, count=COPIES, parameters={}, permission=EVERYTHING), keeps_state=True
    )
    collect(saved, done)
    state = saved.state()
    arrays = {name: array.copy() for name, array in state.pop("arrays").items()}
    rows = {name: array.copy() for name, array in saved.replay.state().items()}
    state = json.loads(json.dumps(state))  # as a checkpoint keeps it

    restored = collector_of(
        registry.make(environment, count=COPIES, parameters={}, permission=EVERYTHING), keeps_state=True
    )
    collect(restored, 4)  # of no importance
    restored.replay.restore(rows)
    restored.restore(state | {"arrays": arrays})
    restored.rerun_episodes()
    assert collect(saved, 11) == collect(restored, 11)
    assert (saved.env_steps, saved.episodes_started) == (restored.env_steps, restored.episodes_started)
    one, other = saved.replay.state(), restored.replay.state()
    for name in one:
        written = one["written"]
        for copy in range(COPIES):
            here = (copy, ...) if name in ("written", "oldest", "read", "learned") else (copy, slice(written[copy]))
            assert np.array_equal(one[name][here], other[name][here]), name


def test_copies_stand_at_different_steps_when_they_are_restored() -> None:
    """Guards the test above: the game does bring the copies apart."""
    collector = collector_of(game())
    collect(collector, 8)
    lengths = collector.state()["arrays"]["lengths"]
    assert [len(collector.replay.running_actions(copy)) for copy in range(COPIES)] == lengths.tolist()
    assert len(set(lengths.tolist())) >= 3
    assert 0 in lengths


def test_mamba_collects_what_it_did_with_the_neighbours_that_it_had() -> None:
    algorithm, environment = small_team("relay", {"agents": 3, "hears": "range"}, copies=2)
    replay = Replay(ReplaySettings(capacity=200, window=4, minimum=1), environment.spec, copies=2)
    torch.manual_seed(3)
    collector = Collector(environment, algorithm.behaviour(), replay, seed=0, device=CPU)
    collector.collect(7, algorithm.behaviour())
    collector.commit()
    state = replay.state()
    # Illegal actions would have raised; that of a first row is nobody's.
    legal = np.take_along_axis(state["action_mask"][:, :-1], state["action"][:, 1:, :, None].astype(int), axis=3)
    inside = ~state["first"][:, 1:]
    assert legal[..., 0][inside].all()
    assert len(np.unique(state["action"])) > 2
    assert 0 < state["hears"].mean() < 6 / 9
