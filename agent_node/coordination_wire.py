"""Coordination messages to dataclasses and back.  Imported by `coordinator_world.py`.

Protobuf objects of the coordination protocol never leave this module and that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from google.protobuf.message import DecodeError

from agent_node.agent_input import AgentInput
from agent_node.hello import Member
from agent_node.inbox import LatePolicy
from agent_node.world import StepReport, Team
from heliograph.actions import ActionSpace, ContinuousActions
from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.coding import Coding
from heliograph.errors import MessageError, SettingsError, WorldError
from heliograph.link_counters import LinkCounters
from heliograph.listening import parse_address
from heliograph.pb import coordination_pb2

_LATE_POLICIES = {
    coordination_pb2.LATE_POLICY_MASK: LatePolicy.MASK,
    coordination_pb2.LATE_POLICY_HOLD: LatePolicy.HOLD,
    coordination_pb2.LATE_POLICY_PREDICT: LatePolicy.PREDICT,
}


def team_of(welcome: coordination_pb2.Welcome) -> Team:
    """Raises MessageError if the run is not named or the late policy or the codec is none that we know."""
    if not welcome.run_id:
        raise MessageError("the coordinator's welcome names no run")
    if welcome.late_policy not in _LATE_POLICIES:
        raise MessageError(f"the coordinator's welcome has late policy {welcome.late_policy}")
    return Team(
        run_id=welcome.run_id,
        run_seed=welcome.run_seed,
        greedy=welcome.greedy,
        late_policy=_LATE_POLICIES[welcome.late_policy],
        coding=Coding.from_wire(welcome.coding),
    )


def grace_of(welcome: coordination_pb2.Welcome, *, otherwise: float) -> float:
    """The seconds for which node and coordinator look for one another after a cut."""
    return welcome.rejoin_ms / 1e3 if welcome.HasField("rejoin_ms") else otherwise


def members_of(roster: coordination_pb2.Roster) -> list[Member]:
    """Raises MessageError for an address that nobody can dial."""
    for member in roster.members:
        try:
            parse_address(member.peer_address)
        except SettingsError as error:
            raise MessageError(f"the coordinator's roster, of slot {member.slot}: {error.message}") from None
    return [
        Member(
            slot=member.slot,
            peer_address=member.peer_address,
            instance=member.instance,
            bundle_digest=member.bundle_digest,
        )
        for member in roster.members
    ]


@dataclass(frozen=True, kw_only=True)
class Switch:
    """The team goes on with other bundles."""

    digest: str
    """Of this node's."""
    coding: Coding
    members: tuple[Member, ...]


def switch_of(wire: coordination_pb2.Switch) -> Switch:
    """Raises MessageError if the codec is none that we know, and as `members_of`."""
    return Switch(digest=wire.digest, coding=Coding.from_wire(wire.coding), members=tuple(members_of(wire.roster)))


def message_of(data: bytes) -> coordination_pb2.CoordinatorMessage:
    """What a coordinator has written.  Raises WorldError for what is none of its messages."""
    try:
        return coordination_pb2.CoordinatorMessage.FromString(data)
    except DecodeError:
        raise WorldError(f"the coordinator sent {len(data)} bytes that are no message of its") from None


def agent_input_of(wire: coordination_pb2.Percept) -> AgentInput:
    """Sizes are the agent's to check.  Raises WorldError if the bytes are no arrays, or a delay is missing."""
    if len(wire.observation) % 4:
        raise WorldError(f"observation has {len(wire.observation)} bytes, not a multiple of 4")
    if len(wire.late) != len(wire.late_by) or not all(wire.late_by):
        raise WorldError(f"messages of slots {list(wire.late)} are late by {list(wire.late_by)} steps")
    return AgentInput(
        episode=wire.episode,
        step=wire.step,
        observation=np.frombuffer(wire.observation, dtype="<f4"),
        action_mask=np.frombuffer(wire.action_mask, dtype=np.uint8).astype(np.bool_),
        receives_from=tuple(wire.hears),
        sends_to=tuple(wire.heard_by),
        first=wire.first,
        lost=tuple(wire.lost),
        late=dict(zip(wire.late, wire.late_by, strict=True)),
        message_deadline_s=wire.message_deadline_us * 1e-6,
    )


def act_of(report: StepReport, *, actions: ActionSpace, codec: BitPacked | None) -> coordination_pb2.Act:
    """`codec` None leaves the latent out."""
    message, action = report.decision.message, report.decision.action
    return coordination_pb2.Act(
        episode=report.episode,
        step=report.step,
        action=0 if isinstance(actions, ContinuousActions) else int(action),
        levels=actions.pack(action) if isinstance(actions, ContinuousActions) else b"",
        latent=b"" if codec is None or message is None else codec.pack(message.latent),
        masked=report.masked,
        waited_us=round(report.waited_s * 1e6),
        computed_us=round(report.computed_s * 1e6),
    )


def counters_of(totals: Mapping[int, LinkCounters]) -> coordination_pb2.Counters:
    return coordination_pb2.Counters(
        links=[
            coordination_pb2.LinkCounters(peer=peer, **asdict(counters)) for peer, counters in sorted(totals.items())
        ]
    )
