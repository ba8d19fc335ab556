"""Percepts on the wire: what the coordinator wrote is what the node reads, and what makes no sense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_node.coordination_wire import percept_of
from coordinator import wire
from coordinator.world import View
from heliograph.errors import WorldError
from heliograph.pb import coordination_pb2

slots = st.lists(st.integers(0, 40), unique=True).map(lambda numbers: tuple(sorted(numbers)))


@given(hears=slots, heard_by=slots, lost=slots, late=st.dictionaries(st.integers(0, 40), st.integers(1, 99)))
def test_a_percept_reads_back(hears, heard_by, lost, late) -> None:
    observation, mask = np.array([0.5, -2.0], dtype=np.float32), np.array([True, False, True])
    view = View(slot=1, observation=observation, action_mask=mask, hears=hears, heard_by=heard_by, lost=lost, late=late)
    message = wire.percept(view, episode=3, step=4, first=True, message_deadline_s=0.25)
    percept = percept_of(coordination_pb2.CoordinatorMessage.FromString(message.SerializeToString()).percept)
    assert (percept.episode, percept.step, percept.first, percept.message_deadline_s) == (3, 4, True, 0.25)
    assert (percept.hears, percept.heard_by, percept.lost, percept.late) == (hears, heard_by, lost, late)
    assert np.array_equal(percept.observation, observation)
    assert np.array_equal(percept.action_mask, mask)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"observation": b"abc"}, "3 bytes, not a multiple of 4"),
        ({"late": [2, 3], "late_by": [1]}, r"slots \[2, 3\] are late by \[1\] steps"),
        ({"late": [2], "late_by": [0]}, r"late by \[0\] steps"),
        ({"late_by": [1]}, r"slots \[\] are late by \[1\] steps"),
    ],
)
def test_a_percept_that_makes_no_sense_is_refused(fields, complaint) -> None:
    with pytest.raises(WorldError, match=complaint):
        percept_of(coordination_pb2.Percept(**fields))
