"""Predictions of what nothing has learned from: which transitions count, how they are pooled, what they change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_team import SMALL_OF, resume, small_settings, start
from torch import Tensor

import trainer.training.training as training_module
from trainer.algorithms.held_out import (
    HALF_LIFE,
    HeldOut,
    Predicted,
    PredictingAlgorithm,
    counted_transitions,
    episodes_begun,
    pieces,
)
from trainer.algorithms.mazero.predicting import _frames_known
from trainer.experience.window import Window

PRESETS = {"mamba": "relay", "mag": "mag-relay", "mabl": "mabl-relay", "marie": "marie-relay", "mazero": "mazero-relay"}


def window_of(first: Tensor, *, present: Tensor | None = None) -> Window:
    """[T, B] rows of one agent that differ in what they observe."""
    rows = (*first.shape, 1)
    return Window(
        observation=torch.arange(first.numel()).reshape(rows).float().unsqueeze(-1),
        action_mask=torch.ones(*rows, 2, dtype=torch.bool),
        hears=None,
        present=torch.ones(rows, dtype=torch.bool) if present is None else present,
        first=first,
        action=torch.zeros(rows, dtype=torch.int64),
        reward=torch.zeros(rows),
        terminated=torch.zeros(rows, dtype=torch.bool),
    )


def predicted(reward: list[float], earned: list[float], **more: Tensor | None) -> Predicted:
    shape = (len(reward), 1, 1)
    given = {
        "continuation": None,
        "ended": torch.zeros(shape, dtype=torch.bool),
        "known": torch.ones(shape[:2], dtype=torch.bool),
    }
    return Predicted(
        reward=torch.tensor(reward).reshape(shape), earned=torch.tensor(earned).reshape(shape), **(given | more)
    )


def seen(*parts: Predicted) -> HeldOut:
    held_out = HeldOut()
    for part in parts:
        held_out.see(part, torch.ones_like(part.known), torch.ones_like(part.ended))
    return held_out


def test_r2_is_the_share_of_the_variance_that_is_explained() -> None:
    earned = [0.0, 0.0, 1.0, 3.0]
    assert seen(predicted(earned, earned)).reward_r2 == pytest.approx(1.0)
    assert seen(predicted([1.0] * 4, earned)).reward_r2 == pytest.approx(0.0)
    assert seen(predicted([3.0, 3.0, 0.0, 0.0], earned)).reward_r2 == pytest.approx(1 - 28 / 6)


def test_what_was_not_seen_is_unknown_and_so_is_r2_where_all_rewards_are_the_same() -> None:
    assert HeldOut().reward_r2 is None
    assert HeldOut().metrics() == {}
    held_out = seen(predicted([0.3, 0.1], [0.1, 0.1]))
    assert held_out.reward_r2 is None
    assert "held_out/reward_r2" not in held_out.metrics()


def test_rewards_of_different_iterations_are_pooled_and_older_ones_count_less() -> None:
    """The first iteration's rewards are all 0 and the second's all 1, so that neither has an R2 of its own."""
    held_out = seen(predicted([0.0] * 4, [0.0] * 4), predicted([1.0] * 4, [1.0] * 4))
    assert held_out.reward_r2 == pytest.approx(1.0)
    many = int(HALF_LIFE)
    bad, good = predicted([1.0, 0.0] * many, [0.0, 1.0] * many), predicted([0.0, 1.0] * many, [0.0, 1.0] * many)
    # R2 of each alone is -3 and 1; after two half-lives the older one counts a quarter.
    assert seen(bad, good).reward_r2 == pytest.approx(1 - 4 * 0.25 / 1.25)


def test_ends_are_predicted_as_often_as_they_come_and_where_they_come() -> None:
    held_out = seen(
        predicted(
            [0.0] * 4,
            [0.0] * 4,
            continuation=torch.tensor([1.0, 0.5, 0.9, 0.2]).reshape(4, 1, 1),
            ended=torch.tensor([False, False, False, True]).reshape(4, 1, 1),
        )
    )
    assert held_out.metrics() == pytest.approx(
        {
            "held_out/transitions": 4.0,
            "held_out/ends": 0.25,
            "held_out/predicted_ends": 1.4 / 4,
            "held_out/predicted_ends_at_ends": 0.8,
        }
    )


def test_what_a_model_had_not_seen_does_not_count() -> None:
    part = predicted([5.0, 0.0, 1.0], [0.0, 0.0, 1.0], known=torch.tensor([[False], [True], [True]]))
    assert seen(part).reward_r2 == pytest.approx(1.0)


def test_counters_keep_everything() -> None:
    held_out, other = seen(predicted([0.0, 0.9], [0.0, 1.0])), HeldOut()
    held_out.count = 3
    other.restore(json.loads(json.dumps(held_out.counters())))
    assert other.reward_r2 == held_out.reward_r2 is not None
    assert other.count == 3
    other.restore({"entropy_scale": 1.0})
    assert other.reward_r2 is None, "an older checkpoint has none"


@given(st.integers(2, 30), st.integers(2, 12), st.integers(1, 3), st.randoms(use_true_random=False))
def test_each_transition_lies_in_one_piece_whatever_its_length(
    total: int, length: int, copies: int, random: np.random.Generator
) -> None:
    first = torch.tensor([[random.random() < 0.2 for _ in range(copies)] for _ in range(total)])
    rows = torch.tensor([[random.random() < 0.7 for _ in range(copies)] for _ in range(total)])
    window = window_of(first)
    cut, counted = pieces(window, rows, length=length)
    assert len(cut.first) <= length
    chosen = counted_transitions(cut, counted)
    pairs = torch.cat([cut.observation[:-1][chosen], cut.observation[1:][chosen]], dim=1).tolist()
    expected = rows[1:] & ~first[1:]
    wanted = torch.cat([window.observation[:-1][expected], window.observation[1:][expected]], dim=1).tolist()
    assert sorted(pairs) == sorted(wanted)


@given(st.integers(2, 20), st.integers(2, 8), st.integers(1, 3), st.randoms(use_true_random=False))
def test_episodes_that_are_learned_from_their_first_row_are_predicted_from_there(
    total: int, length: int, copies: int, random: np.random.Generator
) -> None:
    first = torch.tensor([[random.random() < 0.3 for _ in range(copies)] for _ in range(total)])
    rows = torch.tensor([[random.random() < 0.7 for _ in range(copies)] for _ in range(total)])
    window = window_of(first)
    cut, counted = episodes_begun(window, rows, length=length)
    assert cut.first[0].all()
    expected = []
    for copy in range(copies):
        begun = None
        for row in range(total):
            if first[row, copy]:
                begun = row
            elif begun is not None and row - begun < length and rows[row, copy]:
                expected.append(float(window.observation[row, copy, 0, 0]))
    chosen = counted_transitions(cut, counted)
    assert sorted(cut.observation[1:][chosen].flatten().tolist()) == sorted(expected)


def test_transitions_across_episodes_and_after_an_end_do_not_count() -> None:
    first = torch.tensor([[True], [False], [False], [False], [True], [False]])
    present = torch.tensor([True, True, False, False, True, True]).reshape(6, 1, 1)
    counted = counted_transitions(window_of(first, present=present), torch.ones_like(first))
    assert counted[:, 0].tolist() == [True, True, False, False, True]


def test_an_end_counts_once_though_all_agents_see_the_row_that_closes_the_episode() -> None:
    """As most worlds show it; absorbing rows follow."""
    first = torch.tensor([[True], [False], [False], [False], [True], [False]])
    terminated = torch.tensor([True, False, True, True, False, False]).reshape(6, 1, 1)  # of the first row: as it was
    present = torch.tensor([True, True, True, False, True, True]).reshape(6, 1, 1)
    window = replace(window_of(first, present=present), terminated=terminated)
    counted = counted_transitions(window, torch.ones_like(first))
    assert counted[:, 0].tolist() == [True, True, False, False, True]


def test_who_is_gone_does_not_end_again() -> None:
    """Of two agents the second dies at the first of three transitions."""
    ended = torch.tensor([[False, True]] * 3).unsqueeze(1)
    given = Predicted(
        reward=torch.zeros(3, 1, 2),
        earned=torch.zeros(3, 1, 2),
        continuation=torch.tensor([[0.9, 0.5], [0.9, 0.0], [0.9, 0.0]]).unsqueeze(1),
        ended=ended,
        known=torch.ones(3, 1, dtype=torch.bool),
    )
    held_out = HeldOut()
    held_out.see(given, given.known, torch.tensor([[True, True], [True, False], [True, False]]).unsqueeze(1))
    found = held_out.metrics()
    assert found["held_out/ends"] == pytest.approx(1 / 4)
    assert found["held_out/predicted_ends"] == pytest.approx((3 * 0.1 + 0.5) / 4)
    assert found["held_out/predicted_ends_at_ends"] == pytest.approx(0.5)


def test_mazeros_frames_are_known_within_an_episode_alone() -> None:
    first = torch.tensor([[False], [False], [False], [True], [False], [False], [False]])
    assert _frames_known(first, 2)[:, 0].tolist() == [False, False, True, False, False, True]
    assert _frames_known(first, 0).all()


def held_out_records(folder: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    told = ("held_out/", "imagination/", "policy/imagined_after_end")
    return [{name: value for name, value in record.items() if name.startswith(told)} for record in records]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", PRESETS)
def test_every_world_model_predicts_what_it_has_not_learned_from_and_a_resumed_run_the_same(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(PRESETS[algorithm], small=SMALL_OF[algorithm], env_steps=97)  # never done: no export
    whole = start(tmp_path / "whole", settings, stop_after=6)
    assert isinstance(whole.algorithm, PredictingAlgorithm)
    whole.run()
    whole.close()
    records = held_out_records(tmp_path / "whole")
    assert records[0] == {}, "nothing was learned before"
    assert "held_out/reward_r2" in records[-1]
    imagines = algorithm != "mazero"
    assert ("held_out/predicted_ends" in records[-1]) == imagines
    assert (records[-1].get("imagination/starts", 0) > 0) == imagines
    assert ("imagination/replayed_return" in records[-1]) == imagines
    assert ("policy/imagined_after_end" in records[-1]) == imagines

    start(tmp_path / "parts", settings, stop_after=4).run()
    again = resume(tmp_path / "parts", stop_after=6)
    again.run()
    again.close()
    assert held_out_records(tmp_path / "parts") == records

    if algorithm != "mabl":
        return
    # Nothing of what is learned depends on it, least of all where most is drawn for a prediction.
    monkeypatch.setattr(training_module, "measure_held_out", lambda *_: {})
    without = start(tmp_path / "without", settings, stop_after=6)
    without.run()
    without.close()
    for name, module in whole.algorithm.modules().items():
        for one, other in zip(module.parameters(), without.algorithm.modules()[name].parameters(), strict=True):
            assert torch.equal(one, other), name
