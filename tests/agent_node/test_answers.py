"""Which act answers which agent input when a call breaks: once each, whenever the break comes."""

from __future__ import annotations

import numpy as np

from agent_node.agent_input import AgentInput
from agent_node.answers import Answers
from heliograph.pb import coordination_pb2 as pb


def agent_input(step: int) -> AgentInput:
    return AgentInput(
        episode=1,
        step=step,
        observation=np.zeros(2, dtype=np.float32),
        action_mask=np.ones(2, dtype=np.bool_),
        receives_from=(),
        sends_to=(),
        first=step == 0,
        message_deadline_s=1.0,
    )


def act(step: int) -> pb.Act:
    return pb.Act(episode=1, step=step, action=step)


def test_without_a_break_every_percept_is_decided_on_and_answered_once() -> None:
    answers = Answers()
    for step in range(3):
        assert answers.asked(agent_input(step)) is None
        assert answers.has_pending
        assert answers.take().step == step
        assert answers.decided(act(step)) == act(step)
        assert not answers.has_pending


def test_an_act_that_was_lost_on_its_way_is_said_again_and_not_lived_through_twice() -> None:
    answers = Answers()
    answers.asked(agent_input(0))
    answers.take()
    answers.decided(act(0))
    answers.begin_call()
    assert answers.asked(agent_input(0)) == act(0)
    assert not answers.has_pending


def test_what_is_decided_after_a_break_waits_until_it_is_asked_for_again() -> None:
    answers = Answers()
    answers.asked(agent_input(0))
    answers.take()
    answers.begin_call()
    assert answers.decided(act(0)) is None, "this call has not asked for it"
    assert answers.asked(agent_input(0)) == act(0)


def test_what_is_asked_again_while_it_is_decided_on_is_answered_once() -> None:
    answers = Answers()
    answers.asked(agent_input(0))
    answers.take()
    answers.begin_call()
    assert answers.asked(agent_input(0)) is None
    assert not answers.has_pending
    assert answers.decided(act(0)) == act(0)


def test_only_the_newest_percept_counts() -> None:
    answers = Answers()
    answers.asked(agent_input(3))
    answers.asked(agent_input(9))
    assert answers.take().step == 9
    assert answers.decided(act(9)) == act(9)
