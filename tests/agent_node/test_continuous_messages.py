"""Continuous actions in a node: messages to the bit, what is refused, what an actuator gets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steering_bundles import continuous_bundle, steering_bundles

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.in_process import InProcessTeam
from agent_node.message import Decision, Message
from agent_node.standalone_world import StandaloneWorld
from agent_node.wire import MessageWire
from agent_node.world import StepReport, Team
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import BundleError, BundleMismatch, MessageError, WorldError
from heliograph.pb import peer_pb2

FORM = MessageFormat(categoricals=4, classes=8)
THREE = ContinuousActions(low=(-1.0,) * 3, high=(1.0,) * 3, bits=6)
UINT32 = st.integers(0, 2**32 - 1)


def agent_input(step: int, *, mask: tuple[bool, ...] = (True, True), **arguments: object) -> AgentInput:
    return AgentInput(
        episode=0,
        step=step,
        observation=np.full(5, 0.5, dtype=np.float32),
        action_mask=np.array(mask),
        first=step == 0,
        **arguments,
    )


def message(action: np.ndarray | int) -> Message:
    return Message(episode=0, step=0, latent=np.array([1, 2, 3, 4], dtype=np.int32), action=action)


@given(
    episode=UINT32,
    step=UINT32,
    bits=st.integers(2, 16),
    shares=st.lists(st.floats(-1, 1), min_size=1, max_size=30),
)
def test_an_action_goes_over_the_wire_to_the_last_bit(episode: int, step: int, bits: int, shares: list[float]) -> None:
    actions = ContinuousActions(low=(-1.0,) * len(shares), high=(1.0,) * len(shares), bits=bits)
    wire = MessageWire(FORM, actions=actions)
    said = message(actions.snapped(np.array(shares)))._replace(episode=episode, step=step)
    data = wire.serialise(said).data
    assert len(data) <= wire.max_bytes
    read = wire.parse(data)
    assert (read.episode, read.step, read.latent.tolist()) == (episode, step, [1, 2, 3, 4])
    assert isinstance(read.action, np.ndarray)
    assert read.action.tobytes() == said.action.tobytes()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"action": 1}, "message has action 1, here they are continuous"),
        ({}, "0 bytes are no action of 3 numbers with 6 bits each"),
        ({"levels": b"\0" * 2}, "2 bytes are no action"),
        ({"levels": b"\0\0\x01"}, "3 bytes are no action"),
        ({"levels": b"\xff\xff\xc0"}, "3 bytes are no action"),
        ({"levels": b"\0" * 3, "action": 1}, "message has action 1"),
    ],
    ids=["a number", "nothing", "too short", "padding", "no such level", "both"],
)
def test_messages_without_a_continuous_action_are_malformed(fields: dict, complaint: str) -> None:
    data = peer_pb2.LatentMessage(latent=b"\0" * 2, **fields).SerializeToString()
    with pytest.raises(MessageError, match=complaint):
        MessageWire(FORM, actions=THREE).parse(data)


def test_levels_are_malformed_where_actions_are_numbered() -> None:
    data = peer_pb2.LatentMessage(latent=b"\0" * 2, levels=b"\0").SerializeToString()
    with pytest.raises(MessageError, match="levels of a continuous action, here they are numbered"):
        MessageWire(FORM, actions=DiscreteActions(count=5)).parse(data)


@pytest.mark.parametrize(
    "action",
    [2, np.zeros(3, np.float32), np.float32([1.0, 0.0]), np.float32([np.nan, 0.0]), np.float32([-np.inf, 0.0])],
    ids=["number", "shape", "bound", "nan", "infinite"],
)
def test_an_agent_reads_no_action_that_cannot_be(action: np.ndarray | int) -> None:
    agent = Agent(steering_bundles()[0], run_seed=0, greedy=True)
    agent.step(agent_input(0), {})
    with pytest.raises(MessageError, match="message of slot 1 has action"):
        agent.step(agent_input(1), {1: message(action)})
    agent.step(agent_input(1), {1: message(np.float32([0.2, 0.0]))})


def test_an_agent_acts_on_the_grid_and_in_its_own_dimensions() -> None:
    oar = Agent(steering_bundles()[1], run_seed=0, greedy=True)
    decision = oar.step(agent_input(0, mask=(True, False)), {})
    assert isinstance(decision.action, np.ndarray)
    assert (decision.action.dtype, decision.action.shape, decision.action[1]) == (np.float32, (2,), 0)
    space = oar.manifest.actions
    assert space.settled(decision.action).tobytes() == decision.action.tobytes()
    with pytest.raises(WorldError, match=r"its bundle expects \(2,\)"):
        oar.step(agent_input(1, mask=(True,)), {})


@pytest.mark.parametrize(("shift", "accepted"), [(1e-7, True), (2e-3, False), (2.0, False)])
def test_what_is_rounded_off_the_grid_is_put_back_and_the_rest_refused(shift: float, accepted: bool) -> None:
    space = ContinuousActions(low=(-1.0, -1.0), high=(1.0, 1.0))
    made, plain = (
        Agent(
            continuous_bundle(slot=0, team_size=2, actions=space, observation_size=5, off_the_grid=off),
            run_seed=0,
            greedy=True,
        )
        for off in (shift, 0.0)
    )
    if accepted:
        assert made.step(agent_input(0), {}).action.tobytes() == plain.step(agent_input(0), {}).action.tobytes()
    else:
        with pytest.raises(BundleError, match="which is none of 255 levels"):
            made.step(agent_input(0), {})


def test_a_graph_of_the_other_kind_is_no_bundle() -> None:
    from scripted_bundle import scripted_bundle

    from heliograph import bundle as bundles

    numbered = scripted_bundle(slot=0, team_size=2)
    claimed = replace(numbered.manifest, actions=ContinuousActions(low=(-1.0,) * 5, high=(1.0,) * 5))
    with pytest.raises(BundleMismatch, match="has input inbox_action of"):
        Agent(bundles.make(claimed, numbered.graph), run_seed=0, greedy=True)


def test_neighbours_in_one_process_read_what_was_done() -> None:
    team = InProcessTeam([Agent(bundle, run_seed=3, greedy=True) for bundle in steering_bundles()])
    decided: list[Decision] = []
    for step in range(3):
        masks = ((True, True), (True, False))
        agent_inputs = [
            agent_input(step, mask=masks[slot], receives_from=(1 - slot,), sends_to=(1 - slot,)) for slot in range(2)
        ]
        decided = [decision for decision in team.step(agent_inputs) if decision is not None]
    assert len(decided) == 2
    assert [counters.read for slot in range(2) for counters in team.counters(slot).values()] == [2, 2]
    # 2 bytes of latent, 2 of levels, a tag and a length for each, and the step where it is not 0.
    assert [team.counters(0)[1].sent, team.counters(0)[1].sent_bytes] == [3, 3 * 8 + 2 * 2]


class Actuator(StandaloneWorld):
    async def agent_input(self) -> AgentInput | None:
        return None

    async def act(self, report: StepReport) -> None:
        raise NotImplementedError


class Handle:
    """What a world sees of a node."""

    def __init__(self, bundle) -> None:  # type: ignore[no-untyped-def]
        self.slot, self.manifest = bundle.manifest.slot, bundle.manifest

    def update_roster(self, members) -> None:  # type: ignore[no-untyped-def]
        list(members)


def test_an_actuator_gets_real_units() -> None:
    from scripted_bundle import scripted_bundle

    def actuation(bundle, action):  # type: ignore[no-untyped-def]
        world = Actuator(team=Team(run_id="r", run_seed=0, greedy=True), roster=[])
        asyncio.run(world.enter(Handle(bundle)))
        decision = Decision(action=action, message=None, logits=np.zeros(1))
        return world.actuation(
            StepReport(episode=0, step=0, decision=decision, masked=(), waited_s=0.0, computed_s=0.0)
        )

    mast, oar = steering_bundles()
    assert actuation(mast, np.float32([0.5, -0.5])).tolist() == [1.0, -1.0]
    assert actuation(oar, np.float32([0.0, 0.0])).tolist() == [0.25, 0.0]
    assert actuation(scripted_bundle(slot=0, team_size=2), 3) == 3
