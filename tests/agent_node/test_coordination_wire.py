"""Agent inputs on the wire: what the coordinator wrote is what the node reads, and what makes no sense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_node.coordination_wire import act_of, agent_input_of
from agent_node.message import Decision
from agent_node.world import StepReport
from coordinator.serving import wire
from coordinator.world.world import View
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.errors import WorldError
from heliograph.pb import coordination_pb2

slots = st.lists(st.integers(0, 40), unique=True).map(lambda numbers: tuple(sorted(numbers)))


@given(receives_from=slots, sends_to=slots, lost=slots, late=st.dictionaries(st.integers(0, 40), st.integers(1, 99)))
def test_a_percept_reads_back(receives_from, sends_to, lost, late) -> None:
    observation, mask = np.array([0.5, -2.0], dtype=np.float32), np.array([True, False, True])
    view = View(
        slot=1,
        observation=observation,
        action_mask=mask,
        receives_from=receives_from,
        sends_to=sends_to,
        lost=lost,
        late=late,
    )
    message = wire.agent_input(view, episode=3, step=4, first=True, message_deadline_s=0.25)
    agent_input = agent_input_of(coordination_pb2.CoordinatorMessage.FromString(message.SerializeToString()).percept)
    assert (agent_input.episode, agent_input.step, agent_input.first, agent_input.message_deadline_s) == (
        3,
        4,
        True,
        0.25,
    )
    assert (agent_input.receives_from, agent_input.sends_to, agent_input.lost, agent_input.late) == (
        receives_from,
        sends_to,
        lost,
        late,
    )
    assert np.array_equal(agent_input.observation, observation)
    assert np.array_equal(agent_input.action_mask, mask)


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
        agent_input_of(coordination_pb2.Percept(**fields))


def report(action: int | np.ndarray) -> StepReport:
    decision = Decision(action=action, message=None, logits=np.zeros(3, dtype=np.float32))
    return StepReport(episode=2, step=5, decision=decision, masked=(0, 3), waited_s=0.0125, computed_s=0.003)


def test_an_act_carries_a_number_or_levels_and_never_both() -> None:
    numbered = act_of(report(2), actions=DiscreteActions(count=3), codec=None)
    assert (numbered.action, numbered.levels, numbered.latent) == (2, b"", b"")
    space = ContinuousActions(low=(-1.0, -2.0), high=(1.0, 2.0))
    values = space.unpack(space.pack(np.array([0.5, -0.25], dtype=np.float32)))
    vector = act_of(report(values), actions=space, codec=None)
    assert vector.action == 0
    assert np.array_equal(space.unpack(vector.levels), values)
    for act in (numbered, vector):
        assert (act.episode, act.step, list(act.masked), act.waited_us, act.computed_us) == (2, 5, [0, 3], 12500, 3000)
