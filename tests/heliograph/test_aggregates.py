"""Aggregates of scores: by hand, against scipy, and what must hold for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from heliograph.aggregates import (
    aggregate,
    curve,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

TABLE = np.array([[0.0, 0.5], [0.2, 0.7], [0.4, 0.9], [1.0, 1.5]])  # four runs of two tasks
scores = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), elements=st.integers(-20, 20).map(float)
)


@pytest.mark.parametrize(
    ("statistic", "by_hand"),
    [
        (mean, (0.4 + 0.9) / 2),
        (median, (0.4 + 0.9) / 2),
        (interquartile_mean, (0.4 + 0.5 + 0.7 + 0.9) / 4),  # of eight, two are cut at either end
        (optimality_gap, 1 - (0.4 + (0.5 + 0.7 + 0.9 + 1.0) / 4) / 2),
    ],
)
def test_values_by_hand(statistic, by_hand):
    found = aggregate(TABLE, statistic)
    assert found.value == pytest.approx(by_hand)
    assert found.low < found.value < found.high


def test_the_median_is_over_tasks_and_the_rest_goes_by_task():
    three = np.array([[0.0, 0.1, 9.0], [0.0, 0.3, 9.0]])
    assert aggregate(three, median).value == pytest.approx(0.2)
    ragged = [np.array([0.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])]
    assert aggregate(ragged, mean).value == pytest.approx(0.75), "a task counts once, however many runs it has"
    assert performance_profile(ragged, np.array([0.5])).value.tolist() == [0.75]


@pytest.mark.slow
@pytest.mark.arrays
@given(scores)
def test_the_interquartile_mean_is_scipys_trimmed_mean(table):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.trim_mean(table, 0.25, axis=None)
    assert aggregate(table, resamples=1).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
@pytest.mark.arrays
@given(scores, scores)
def test_improvement_is_the_mann_whitney_statistic_and_its_mirror(one, other):
    tasks = min(one.shape[1], other.shape[1])
    one, other = one[:, :tasks], other[:, :tasks]
    found = probability_of_improvement(one, other, resamples=50)
    mirrored = probability_of_improvement(other, one, resamples=50)
    assert found.value + mirrored.value == pytest.approx(1.0)
    assert 0.0 <= found.low <= found.high <= 1.0
    stats = pytest.importorskip("scipy.stats")
    shares = [
        stats.mannwhitneyu(one[:, task], other[:, task], method="asymptotic").statistic / (len(one) * len(other))
        for task in range(tasks)
        if np.ptp(np.concatenate([one[:, task], other[:, task]]))  # scipy divides by zero where all are equal
    ]
    equal = tasks - len(shares)
    assert found.value == pytest.approx((sum(shares) + 0.5 * equal) / tasks)


@given(scores, st.floats(-5, 5), st.floats(0.1, 5))
def test_intervals_move_with_the_scores(table, shift, scale):
    for statistic in (mean, median, interquartile_mean):
        found, moved = (aggregate(each, statistic, resamples=50) for each in (table, table * scale + shift))
        for name in ("value", "low", "high"):
            assert getattr(moved, name) == pytest.approx(getattr(found, name) * scale + shift, abs=1e-9)
        assert table.min() - 1e-9 <= found.low <= found.high <= table.max() + 1e-9


@given(scores)
def test_a_profile_falls_from_all_to_none_within_its_band(table):
    thresholds = np.linspace(table.min() - 1, table.max(), 7)
    band = performance_profile(table, thresholds, resamples=50)
    assert band.value[0] == 1.0
    assert band.value[-1] == 0.0
    assert (np.diff(band.value) <= 0).all()
    assert (np.diff(band.low) <= 0).all()
    assert (np.diff(band.high) <= 0).all()
    assert ((band.low >= 0) & (band.high <= 1)).all()


def test_a_curve_is_the_aggregate_at_each_point_and_its_band_the_interval():
    table = np.random.default_rng(1).normal(size=(5, 3, 4))
    band = curve(table)
    for point in range(4):
        alone = aggregate(table[:, :, point])
        assert (band.value[point], band.low[point], band.high[point]) == (alone.value, alone.low, alone.high)


def test_the_same_scores_give_the_same_interval_and_single_runs_none():
    assert aggregate(TABLE) == aggregate(TABLE.copy())
    alone = aggregate(TABLE[:1])
    assert (alone.low, alone.high) == (None, None)
    assert curve(TABLE[:1, :, None]).low is None
    assert performance_profile(TABLE[:1], np.array([0.5])).high is None
    pair = probability_of_improvement(TABLE[:1], TABLE)
    assert (pair.value, pair.low) == (pytest.approx((0.125 + 0.125) / 2), None)


def test_runs_are_drawn_within_their_task():
    """Tasks far apart: drawing across them would spread the mean over the whole range."""
    apart = np.array([[0.0, 100.0], [0.0, 100.0], [0.0, 100.0]])
    assert (aggregate(apart, mean).low, aggregate(apart, mean).high) == (50.0, 50.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Percentile intervals of few runs are known to be a little short: 20 runs of a normal cover about 92 %."""
    random = np.random.default_rng(5)
    covered = []
    for _ in range(200):
        found = aggregate(random.normal(size=(20, 2)), mean, resamples=300)
        covered.append(found.low <= 0.0 <= found.high)
    assert 0.88 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((0, 2)),
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.full((2, 2), np.nan),
        [],
        [np.zeros(2), np.zeros(0)],
    ],
)
def test_scores_of_another_shape_or_not_finite_are_refused(wrong):
    with pytest.raises(ValueError, match="scores"):
        aggregate(wrong)


def test_improvement_over_other_tasks_is_refused():
    with pytest.raises(ValueError, match="same tasks"):
        probability_of_improvement(TABLE, TABLE[:, :1])


def test_curves_have_runs_tasks_and_as_many_points_each():
    with pytest.raises(ValueError, match="scores have 3 axes, not 2"):
        curve(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="as many points each"):
        curve([np.zeros((2, 3)), np.zeros((2, 4))])
