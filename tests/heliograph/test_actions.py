"""Actions: their grid, their bounds, their bits, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.errors import MessageError


@st.composite
def spaces(draw: st.DrawFn) -> ContinuousActions:
    size = draw(st.integers(1, 20))
    low = draw(st.lists(st.floats(-100, 100), min_size=size, max_size=size))
    span = draw(st.lists(st.floats(0.5, 100), min_size=size, max_size=size))
    high = tuple(start + width for start, width in zip(low, span, strict=True))
    return ContinuousActions(low=tuple(low), high=high, bits=draw(st.integers(2, 16)))


@st.composite
def actions(draw: st.DrawFn) -> tuple[ContinuousActions, np.ndarray]:
    space = draw(spaces())
    numbers = st.lists(st.integers(0, space.levels - 1), min_size=space.size, max_size=space.size)
    return space, space.values(np.array(draw(numbers)))


@given(actions())
def test_a_message_brings_the_same_action_in_its_stated_bits(given_: tuple[ContinuousActions, np.ndarray]) -> None:
    space, action = given_
    packed = space.pack(action)
    assert len(packed) == math.ceil(space.size * space.bits / 8)
    back = space.unpack(packed)
    assert back.dtype == np.float32
    assert back.tobytes() == action.tobytes()


@given(actions())
def test_the_grid_is_within_bounds_and_kept_by_snapping(given_: tuple[ContinuousActions, np.ndarray]) -> None:
    space, action = given_
    assert (np.abs(action) < 1).all()
    assert space.snapped(action).tobytes() == action.tobytes()
    real = space.scaled(action)
    assert (np.float32(space.low) <= real).all()
    assert (real <= np.float32(space.high)).all()
    assert not space.snapped(np.zeros(space.size)).any()


@given(spaces(), st.floats(-1, 1))
def test_snapping_moves_no_further_than_half_a_cell(space: ContinuousActions, value: float) -> None:
    moved = space.snapped(np.full(space.size, value, dtype=np.float32))
    assert np.abs(moved - value).max() <= 1 / space.levels + 1e-6


@given(spaces(), st.floats(-1, 1))
def test_real_units_lead_back(space: ContinuousActions, value: float) -> None:
    there = np.full(space.size, value, dtype=np.float32)
    span = np.subtract(space.high, space.low).min()
    assert np.allclose(space.unscaled(space.scaled(there)), there, atol=1e-4 * max(1, 100 / span))


def test_a_missing_dimension_is_zero_either_way() -> None:
    space = ContinuousActions(low=(-2.0, 0.0), high=(2.0, 0.0))
    assert space.scaled(np.array([0.5, 0.7])).tolist() == [1.0, 0.0]
    assert space.unscaled(np.array([1.0, 0.0])).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("bad", [[0.0], [0.0, 0.0, 0.0], [1.0, 0.0], [math.nan, 0.0], [0.0, -math.inf]])
def test_what_is_no_action_is_not_written(bad: list[float]) -> None:
    with pytest.raises(MessageError):
        ContinuousActions(low=(-1.0, -1.0), high=(1.0, 1.0)).pack(np.array(bad))


@given(st.binary(max_size=4))
def test_what_nobody_writes_is_not_read(payload: bytes) -> None:
    space = ContinuousActions(low=(-1.0,) * 3, high=(1.0,) * 3, bits=5)
    try:
        action = space.unpack(payload)
    except MessageError:
        return
    assert space.pack(action) == payload


@pytest.mark.parametrize(
    ("bounds", "complaint"),
    [
        ({"low": (0.0,), "high": (1.0, 1.0)}, "have 1 and 2 numbers"),
        ({"low": (), "high": ()}, "have 0 and 0 numbers"),
        ({"low": (1.0,), "high": (0.0,)}, "is above"),
        ({"low": (-math.inf,), "high": (0.0,)}, "finite"),
        ({"low": (0.0,), "high": (1.0,), "bits": 17}, "bits is 17"),
        ({"low": (0.0,), "high": (1.0,), "kind": "discrete"}, "kind"),
    ],
)
def test_bounds_that_make_no_sense_are_named(bounds: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ContinuousActions(**bounds)
    with pytest.raises(ValueError, match=r"count is 0"):
        DiscreteActions(count=0)
