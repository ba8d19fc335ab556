"""Episodes that are collected are cut after so many steps: others begin, and nothing has ended."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from collecting import collect, collector_of, episodes_in

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import SettingsError
from heliograph.seeds import episode_seed
from trainer.experience.collector import Collector
from trainer.experience.earned import acted, returns_of
from trainer.training.preset import load_settings

COPIES, LIMIT = 4, 6
"""Relay has six steps an episode."""


def collector(*, most_steps: int, world: str = "relay", terminal: bool = False) -> Collector:
    environment = registry.make(world, count=COPIES, parameters={}, permission=EVERYTHING)
    return collector_of(environment, most_steps=most_steps, time_limit_is_terminal=terminal)


def lengths_by_copy(collector: Collector) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(COPIES)]
    for episode in episodes_in(collector.replay):
        if not episode.running:
            found[episode.copy].append(episode.steps)
    return found


@pytest.mark.parametrize(
    ("most_steps", "lengths"),
    [
        (1, [[1] * 12] * COPIES),
        (4, [[1, 4, 4], [2, 4, 4], [3, 4, 4], [4, 4, 4]]),
        (5, [[2, 5, 5], [3, 5], [4, 5], [5, 5]]),  # a share of five steps, rounded up
        (LIMIT + 1, [[2, 6], [4, 6], [6, 6], [6, 6]]),  # the first ones are brought apart all the same
        (0, [[6, 6]] * COPIES),
    ],
)
def test_copies_begin_anew_one_after_another(most_steps: int, lengths: list[list[int]]) -> None:
    cut = collector(most_steps=most_steps)
    told = [collect(cut, 5), collect(cut, 7)]
    assert lengths_by_copy(cut) == lengths
    assert cut.env_steps == 12 * COPIES
    # Whole episodes alone are told of: what cut ones would have come to is not known.
    whole = sum(length == LIMIT for copy in lengths for length in copy)
    assert [length for part in told for length in part.length] == [LIMIT] * whole
    assert sum(len(part.outcome) for part in told) == whole


def test_episodes_that_end_before_are_as_they_were() -> None:
    """Where they are of several lengths, those after the first ones are cut by their own length alone."""
    cut = collector(most_steps=3, world="waiting_game:make")
    collect(cut, 30)
    later = [length for copy in lengths_by_copy(cut) for length in copy[1:]]
    assert set(later) == {2, 3}


def test_rows_of_cut_episodes_are_what_happened() -> None:
    cut = collector(most_steps=4)
    collect(cut, 12)
    alone = registry.make("relay", count=1, parameters={})
    for number, episode in enumerate(episodes_in(cut.replay)):
        seen = alone.reset(np.array([episode_seed(run_seed=7, episode=number)]))
        for row in range(episode.steps + 1):
            assert np.array_equal(episode.rows["observation"][row], seen.observation[0])
            if row < episode.steps:
                transition = alone.step(episode.rows["action"][row + 1][None].astype(np.int64))
                seen = transition.agent_inputs
                assert np.array_equal(episode.rows["reward"][row + 1], transition.reward[0])


@pytest.mark.parametrize("terminal", [False, True])
def test_a_cut_is_an_end_only_where_a_time_limit_is(terminal: bool) -> None:
    cut = collector(most_steps=4, terminal=terminal)
    collect(cut, 12)
    for episode in episodes_in(cut.replay):
        ended = episode.rows["terminated"]
        assert not ended[: episode.steps].any()
        assert bool(ended[episode.steps].all()) == (terminal and not episode.running)


def test_what_a_cut_episode_would_have_earned_is_the_value_of_its_last_row() -> None:
    cut = collector(most_steps=4)
    collect(cut, 12)
    window, _ = cut.replay.unlearned(leading=0)
    values = torch.arange(window.reward.numel(), dtype=torch.float32).reshape(window.reward.shape)
    returns = returns_of(window, values, discount=0.5, trace=0.9, sharing="individual")
    last = window.first[1:][1:]  # of the transitions whose result closes an episode
    assert last.sum() > COPIES
    expected = window.reward[1:-1] + 0.5 * values[1:-1]
    assert torch.allclose(returns[:-1][last], expected[last])
    assert acted(window)[:-1][last].all()


@pytest.mark.parametrize("done", [0, 1, 3, 4, 7, 10])
def test_a_restored_collector_cuts_where_the_saved_one_would_have(done: int) -> None:
    saved, restored = collector(most_steps=4), collector(most_steps=4)
    collect(saved, done)
    state = saved.state()
    arrays = {name: array.copy() for name, array in state.pop("arrays").items()}
    rows = {name: array.copy() for name, array in saved.replay.state().items()}
    collect(restored, 3)  # of no importance
    restored.replay.restore(rows)
    restored.restore(json.loads(json.dumps(state)) | {"arrays": arrays})
    restored.rerun_episodes()
    assert collect(saved, 11) == collect(restored, 11)
    assert lengths_by_copy(saved) == lengths_by_copy(restored)
    one, other = saved.replay.state(), restored.replay.state()
    for copy, written in enumerate(one["written"]):
        for name in ("observation", "reward", "action", "first"):
            assert np.array_equal(one[name][copy, :written], other[name][copy, :written]), name


@pytest.mark.parametrize("given", ["-3", "2.5"])
def test_a_cut_after_no_number_of_steps_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=r"environment\.most_steps"):
        load_settings("relay", [f"environment.most_steps={given}"])
