"""Between the protobuf messages of `coordination.proto` and the coordinator's own data.

Protobuf objects stay in this module and in `coordinator.serving.service`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from google.protobuf.message import DecodeError

from coordinator.serving.roster import Member
from coordinator.serving.settings import TeamSettings
from coordinator.world.world import View
from heliograph.actions import Action, ActionSpace, received
from heliograph.codecs.coding import Coding
from heliograph.errors import MessageError, SettingsError
from heliograph.link_counters import LinkCounters
from heliograph.listening import parse_address
from heliograph.pb import coordination_pb2 as pb

LATE_POLICIES = {
    "mask": pb.LATE_POLICY_MASK,
    "hold": pb.LATE_POLICY_HOLD,
    "predict": pb.LATE_POLICY_PREDICT,
}


@dataclass(frozen=True, kw_only=True)
class Join:
    """A node's claim to a slot."""

    protocol_version: int
    slot: int
    instance: str
    peer_address: str
    bundle_digest: str
    resumes: str
    """The run in which it was welcomed before its call broke; empty: it begins."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """A node's answer to an agent input, as it came; `latent` is still encoded."""

    episode: int
    step: int
    action: Action
    """Between -1 and 1 if it is continuous; one that is numbered need not exist."""
    latent: bytes
    masked: tuple[int, ...]
    waited_s: float
    computed_s: float


def parse_message(data: bytes) -> pb.NodeMessage:
    """What a node has written.  Raises MessageError for what is none of its messages."""
    try:
        return pb.NodeMessage.FromString(data)
    except DecodeError:
        raise MessageError(f"{len(data)} bytes that are no message of a node") from None


def parse_join(message: pb.NodeMessage) -> Join:
    """Raises MessageError unless the message is a Join with an instance and an address."""
    if message.WhichOneof("kind") != "join":
        raise MessageError(f"the first message of a node must be join, not {message.WhichOneof('kind') or 'empty'}")
    join = message.join
    if not join.instance:
        raise MessageError("join needs an instance, and has an empty one")
    try:
        parse_address(join.peer_address)
    except SettingsError as error:
        raise MessageError(f"join: {error.message}") from None
    return Join(
        protocol_version=join.protocol_version,
        slot=join.slot,
        instance=join.instance,
        peer_address=join.peer_address,
        bundle_digest=join.bundle_digest,
        resumes=join.resumes,
    )


def parse_act(act: pb.Act, *, actions: ActionSpace, team_size: int) -> Act:
    """Raises MessageError if a masked slot does not exist, or the action is not of the kind that the node has."""
    if any(slot >= team_size for slot in act.masked):
        raise MessageError(f"act names masked slots {list(act.masked)} in a team of {team_size}")
    return Act(
        episode=act.episode,
        step=act.step,
        action=received(actions, number=act.action, levels=act.levels, sender="act"),
        latent=act.latent,
        masked=tuple(sorted(set(act.masked))),
        waited_s=act.waited_us / 1e6,
        computed_s=act.computed_us / 1e6,
    )


def parse_connected(connected: pb.Connected, *, slot: int, team_size: int) -> frozenset[int]:
    """The peers.  Raises MessageError if one does not exist."""
    peers = frozenset(connected.slots)
    if any(peer >= team_size or peer == slot for peer in peers):
        raise MessageError(f"slot {slot} is connected with peers {sorted(peers)[:10]} in a team of {team_size}")
    return peers


def parse_counters(counters: pb.Counters, *, slot: int, team_size: int) -> dict[int, LinkCounters]:
    """By peer.  Raises MessageError if one does not exist or is listed twice."""
    peers = [link.peer for link in counters.links]
    if len(set(peers)) != len(peers) or any(peer >= team_size or peer == slot for peer in peers):
        raise MessageError(f"counters of slot {slot} list peers {peers} in a team of {team_size}")
    return {
        link.peer: LinkCounters(**{count.name: getattr(link, count.name) for count in fields(LinkCounters)})
        for link in counters.links
    }


def welcome(settings: TeamSettings, *, run_id: str, team_size: int, coding: Coding) -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(
        welcome=pb.Welcome(
            run_id=run_id,
            run_seed=settings.run_seed,
            team_size=team_size,
            greedy=settings.greedy,
            late_policy=LATE_POLICIES[settings.late_policy],
            report_latents=settings.report_latents,
            coding=coding.to_wire(),
            rejoin_ms=round(settings.rejoin_s * 1e3),
        )
    )


def roster(members: Iterable[Member]) -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(
        roster=pb.Roster(
            members=[
                pb.Member(
                    slot=member.slot,
                    peer_address=member.peer_address,
                    instance=member.instance,
                    bundle_digest=member.bundle_digest,
                )
                for member in members
            ]
        )
    )


def agent_input(
    view: View, *, episode: int, step: int, first: bool, message_deadline_s: float
) -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(
        percept=pb.Percept(
            episode=episode,
            step=step,
            observation=view.observation.astype("<f4", copy=False).tobytes(),
            action_mask=view.action_mask.astype(np.uint8).tobytes(),
            hears=view.receives_from,
            heard_by=view.sends_to,
            first=first,
            lost=view.lost,
            late=view.late.keys(),
            late_by=view.late.values(),
            message_deadline_us=round(message_deadline_s * 1e6),
        )
    )


def prepare(digest: str) -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(prepare=pb.Prepare(digest=digest))


def switch(*, digest: str, coding: Coding, members: Iterable[Member]) -> pb.CoordinatorMessage:
    team = roster(members).roster
    return pb.CoordinatorMessage(switch=pb.Switch(digest=digest, coding=coding.to_wire(), roster=team))


def counters_request() -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(counters_request=pb.CountersRequest())


def shutdown(reason: str) -> pb.CoordinatorMessage:
    return pb.CoordinatorMessage(shutdown=pb.Shutdown(reason=reason))
