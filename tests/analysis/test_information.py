"""Entropies against distributions whose entropy is known, within what their number of samples allows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trace import made_trace

from analysis.bandwidth.estimators import (
    chao_shen,
    correction,
    coverage,
    joint_counts,
    miller_madow,
    mutual_information,
    plug_in,
)
from analysis.bandwidth.information import information
from heliograph.codecs.message_format import MessageFormat


def entropy(chances):
    chances = np.array(chances)[np.array(chances) > 0]
    return float(-(chances * np.log2(chances)).sum())


@given(weights=st.lists(st.integers(1, 50), min_size=1, max_size=12), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_estimates_come_to_the_entropy_of_what_was_drawn(weights, seed):
    chances = np.array(weights) / sum(weights)
    counts = np.random.default_rng(seed).multinomial(4000, chances)
    # The standard deviation is sqrt(var(log2 p) / n), below 0.04 bits here; 5 of them.
    tolerance = 5 * np.sqrt((chances * np.log2(chances) ** 2).sum() - entropy(chances) ** 2 + 1e-9) / np.sqrt(4000)
    for estimate in (miller_madow(counts), chao_shen(counts)):
        assert abs(float(estimate) - entropy(chances)) <= tolerance + 0.01


def test_corrections_remove_most_of_the_bias_of_small_samples():
    chances = np.full(32, 1 / 32)
    counts = np.random.default_rng(1).multinomial(100, chances, size=2000)
    biases = [values.mean() - 5.0 for values in (plug_in(counts), np.minimum(miller_madow(counts), 5.0))]
    assert biases[0] < -0.2, "the plug-in estimate alone is a quarter of a bit too low"
    assert abs(biases[1]) < 0.05
    independent = np.random.default_rng(2).multinomial(200, np.full(64, 1 / 64), size=1000).reshape(-1, 8, 8)
    raw = plug_in(independent.sum(-1)) + plug_in(independent.sum(-2)) - plug_in(independent.reshape(-1, 64))
    assert raw.mean() > 0.15
    assert mutual_information(independent).mean() < 0.05


def counted(*counts):
    return np.array(counts, dtype=np.int64)


def test_estimates_of_few_samples_are_what_their_formulas_say():
    """Worked by hand for counts 3, 1 and 0, and for a pair of coins that came together four times."""
    bits = 0.75 * np.log2(4 / 3) + 0.25 * 2
    assert plug_in(counted(3, 1, 0)) == pytest.approx(bits)
    assert correction(counted(3, 1, 0)) == pytest.approx(1 / (8 * np.log(2)))
    assert miller_madow(counted(3, 1, 0)) == pytest.approx(bits + 1 / (8 * np.log(2)))
    assert miller_madow(counted(3, 1)) == pytest.approx(bits + 1 / (8 * np.log(2))), (
        "below one bit, the ceiling of two values"
    )
    assert miller_madow(counted(1, 1, 1)) == pytest.approx(np.log2(3)), "the ceiling holds it down"
    assert correction(counted(5)) == correction(counted(0, 0)) == miller_madow(counted(0, 0)) == 0
    # Two values on either side, four pairs, two different ones: 1 + 1 - 1 bits, and one correction too many.
    assert mutual_information(np.array([[2, 0], [0, 2]])) == pytest.approx(1 + 1 / (8 * np.log(2)))
    assert mutual_information(np.array([[1, 1], [1, 1]])) == 0
    assert joint_counts(np.array([0, 2, 2]), np.array([1, 0, 0]), values=(3, 2)).tolist() == [[0, 1], [0, 0], [2, 0]]
    assert coverage(counted(2, 1, 1)) == 0.5
    assert coverage(counted()) == 0


def test_many_unseen_values_are_told_from_few():
    random = np.random.default_rng(3)
    few, many = (np.unique(random.integers(n, size=1000), return_counts=True)[1] for n in (16, 10**9))
    assert coverage(few) == 1.0
    assert coverage(many) < 0.05
    assert chao_shen(few) == pytest.approx(4.0, abs=0.02)


def test_messages_are_weighed_against_their_ceiling():
    """Categorical 0 is constant, 1 uniform over 8, 2 a fair coin over two, 3 repeats the sender's last id of it."""
    random = np.random.default_rng(4)
    latents = np.zeros((200, 6, 2, 4), dtype=np.int64)
    latents[..., 1] = random.integers(8, size=latents.shape[:3])
    latents[..., 2] = random.integers(2, size=latents.shape[:3]) * 5
    latents[..., 3] = random.integers(8, size=(200, 1, 2))
    found = information(made_trace(latents, classes=8))
    assert (found.messages, found.ceiling_bits, found.successions) == (2400, 12, 2000)
    assert found.categorical_bits == pytest.approx([0, 3, 1, 3], abs=0.02)
    assert found.categorical_bits_given_previous == pytest.approx([0, 3, 1, 0], abs=0.03)
    assert found.message_bits == pytest.approx(7, abs=0.03)
    assert found.message_bits_given_previous == pytest.approx(4, abs=0.05)
    assert found.joint_bits == pytest.approx(7, abs=0.1)
    assert found.joint_is_reliable
    assert found.categorical_bits_by_step.shape == (6, 4)
    assert found.document().distinct_messages == 128


def test_what_is_said_next_is_weighed_against_what_was_said_before_and_not_the_other_way_round():
    """From one constant id to one of eight: three bits are new.  From one of eight to a constant: none."""
    opening = np.zeros((2000, 2, 2, 2), dtype=np.int64)
    opening[:, 1, :, 0] = opening[:, 0, :, 1] = np.random.default_rng(7).integers(8, size=(2000, 2))
    found = information(made_trace(opening, classes=8))
    assert found.successions == 4000
    assert found.categorical_bits_given_previous == pytest.approx([3, 0], abs=0.01)
    assert found.categorical_bits_by_step == pytest.approx(np.array([[0, 3], [3, 0]]), abs=0.01)


def test_too_few_messages_for_whole_ones_are_said_to_be():
    latents = np.random.default_rng(5).integers(32, size=(20, 5, 2, 32))
    found = information(made_trace(latents, classes=32))
    assert not found.joint_is_reliable
    assert found.joint_bits <= found.message_bits <= found.ceiling_bits == 160


def test_constant_messages_say_nothing_and_silence_is_not_a_message():
    constant = np.full((3, 4, 2, 4), 7)
    found = information(made_trace(constant, classes=8))
    assert found.message_bits == found.message_bits_given_previous == found.joint_bits == 0
    nobody = np.zeros((3, 4, 2, 2), dtype=bool)
    assert information(made_trace(constant, classes=8, hears=nobody)) is None
    assert information(made_trace(np.full((3, 4, 2, 4), -1), classes=8)) is None


def test_what_nobody_was_sent_does_not_count():
    latents = np.random.default_rng(6).integers(8, size=(50, 3, 3, 2))
    latents[:, :, 2] = 0
    hears = np.zeros((50, 3, 3, 3), dtype=bool)
    hears[:, :, 1, 2] = True
    found = information(made_trace(latents, classes=8, hears=hears))
    assert found.messages == 150
    assert found.message == MessageFormat(categoricals=2, classes=8)
    assert found.message_bits == 0
