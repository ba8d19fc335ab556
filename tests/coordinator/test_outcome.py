"""Intervals and sums of a pass of episodes."""

import math
from array import array
from statistics import NormalDist

import pytest
from relay_team import relay_bundles

from coordinator.running.outcome import bootstrap, summarise, wilson
from coordinator.serving.conservation import Traffic
from coordinator.world.trajectory import EpisodeResult
from heliograph.environments import registry


def result(outcome: float, **fields) -> EpisodeResult:
    values = {
        "episode": 0,
        "seed": 0,
        "steps": 2,
        "outcome": outcome,
        "team_return": 1.0,
        "latency_s": array("d", (0.01, 0.03)),
        "waited_s": array("d"),
        "computed_s": array("d"),
        "hearable": 4,
        "masked": 1,
        "idle": 0,
        "illegal": 0,
    }
    return EpisodeResult(**{**values, **fields})


@pytest.mark.parametrize(("won", "episodes"), [(0, 100), (50, 100), (95, 100), (1, 1), (3, 7)])
def test_wilson_bounds_are_where_the_score_test_just_rejects(won, episodes):
    estimate = wilson([1.0] * won + [0.0] * (episodes - won))
    assert estimate.mean == won / episodes
    assert estimate.low == pytest.approx(score_bound(won, episodes, inside=estimate.mean, outside=0.0), abs=1e-9)
    assert estimate.high == pytest.approx(score_bound(won, episodes, inside=estimate.mean, outside=1.0), abs=1e-9)


def test_wilson_bounds_of_none_and_of_all_are_exact():
    for episodes in range(1, 400):
        assert (wilson([0.0] * episodes).low, wilson([1.0] * episodes).high) == (0.0, 1.0)


def score_bound(won: int, episodes: int, *, inside: float, outside: float) -> float:
    """Bisect for the share p at which |won / episodes - p| is z standard errors of p."""
    for _ in range(200):
        middle = (inside + outside) / 2
        if abs(won / episodes - middle) <= NormalDist().inv_cdf(0.975) * math.sqrt(middle * (1 - middle) / episodes):
            inside = middle
        else:
            outside = middle
    return inside


def test_bootstrap_interval_contains_the_mean_and_repeats_itself():
    values = [float(value % 7) for value in range(50)]
    estimate = bootstrap(values)
    assert estimate.low < estimate.mean < estimate.high
    assert estimate == bootstrap(values)
    assert bootstrap([2.0, 2.0]).low == bootstrap([2.0, 2.0]).high == 2.0


def test_an_action_takes_as_many_bits_as_naming_one_of_all():
    assert relay_bundles(2)[0].manifest.actions.message_bits == 3, "one of 5"


def test_summary_adds_up_and_leaves_out_what_was_not_measured():
    summary = summarise(
        [result(1.0), result(0.0)],
        label="with messages",
        spec=registry.make("relay", count=1).spec,
        seconds=2.0,
        traffic=Traffic(
            sent=8,
            sent_bytes=200,
            sent_bits=8 * 12,
            send_skipped=0,
            delivered=5,
            read=4,
            read_bits=48,
            late=1,
            rejected=0,
            lost=2,
            missing=0,
            unknown_links=1,
            sent_by={0: 5, 1: 3},
            read_of={0: 4},
        ),
    )
    assert (summary.episodes, summary.steps, summary.hearable, summary.masked) == (2, 4, 8, 2)
    assert summary.outcome.mean == 0.5
    assert summary.bits_per_agent_step == 8 * 15 / (4 * 2)
    assert summary.message_bits == 15
    assert summary.latency_p50_s == pytest.approx(0.02)
    assert summary.waited_p50_s is None
    assert (summary.messages, summary.late, summary.lost) == (8, 1, 2)
    assert summary.missing is None
    assert summary.bytes_per_agent_step == 25
