"""Segments of replay windows: whose action, reward and end belongs to which observation, and where episodes end."""

from __future__ import annotations

import torch

from trainer.algorithms.marie.segments import segments_of
from trainer.experience.window import Window

T, F = True, False


def window_of(*, first: list[bool], terminated: list[tuple[bool, bool]]) -> Window:
    """One window of two agents, whose row t observes t, after action t that earned t."""
    rows = len(first)
    number = torch.arange(rows).reshape(rows, 1, 1).expand(rows, 1, 2)
    return Window(
        observation=number.unsqueeze(-1).float(),
        action_mask=(number % 2 == 0).unsqueeze(-1),
        hears=None,
        present=torch.ones(rows, 1, 2, dtype=torch.bool),
        first=torch.tensor(first).unsqueeze(1),
        action=number,
        reward=number.float(),
        terminated=torch.tensor(terminated).unsqueeze(1),
    )


def test_a_step_has_the_action_reward_end_and_mask_of_the_next_row() -> None:
    segments = segments_of(window_of(first=[T, F, F], terminated=[(F, F), (F, F), (F, T)]))
    assert segments.observation[0, :, 0, 0].tolist() == [0, 1]
    assert segments.action[0, :, 0].tolist() == segments.reward[0, :, 0].tolist() == [1, 2]
    assert segments.done[0].tolist() == [[F, F], [F, T]]
    assert segments.next_available[0, :, 0, 0].tolist() == [F, T]
    assert segments.acted.all()
    assert segments.followed.all()
    assert not segments.cut.any()


def test_a_time_limit_leaves_its_last_observation_as_what_the_step_before_led_to() -> None:
    nobody = (F, F)
    segments = segments_of(window_of(first=[T, F, F, T, F], terminated=[nobody] * 5))
    assert segments.acted[0].tolist() == [T, T, F, T]
    assert segments.cut[0].tolist() == [F, F, T, F]
    assert segments.continued[0].tolist() == [F, T, T, F]
    assert not segments.done.any()


def test_where_all_agents_have_terminated_the_last_observation_belongs_to_nothing() -> None:
    one, nobody, all_agents = (T, F), (F, F), (T, T)
    segments = segments_of(window_of(first=[T, F, F, T, F], terminated=[nobody, one, all_agents, nobody, nobody]))
    assert segments.acted[0].tolist() == [T, T, F, T]
    assert segments.cut[0].tolist() == [F, T, T, F]
    assert segments.continued[0].tolist() == [F, T, F, F]
    assert segments.done[0, 0].tolist() == [T, F]


def test_absorbing_rows_are_of_no_episode() -> None:
    nobody, all_agents = (F, F), (T, T)
    rows = window_of(first=[T, F, F, F, T, F], terminated=[nobody, all_agents, all_agents, all_agents, nobody, nobody])
    segments = segments_of(rows)
    assert segments.acted[0].tolist() == [T, F, F, F, T]
    assert segments.cut[0].tolist() == [T, T, T, T, F]
    assert not segments.continued.any()
