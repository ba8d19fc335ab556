"""Who speaks on a peer stream: hellos as bytes, and whether a peer is admitted.  Imported by the node's peer code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from heliograph.codecs.coding import Coding
from heliograph.errors import MessageError
from heliograph.pb import peer_pb2
from heliograph.rpc import PROTOCOL_VERSION

SERVICE, METHOD = "heliograph.v1.Peer", "Exchange"
EXCHANGE = f"/{SERVICE}/{METHOD}"

HELLO_METADATA = "heliograph-hello-bin"

_MAX_HELLO_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class Member:
    """A slot of the team and the process that holds it, as the roster knows it."""

    slot: int
    peer_address: str
    """host:port of its Peer service."""
    instance: str = ""
    """New for every process start; empty in a static roster: any instance, and a newer one replaces an older."""
    bundle_digest: str = ""
    """Empty in a static roster: any bundle of the run."""


@dataclass(frozen=True, kw_only=True)
class Hello:
    """What a node says of itself before its first message."""

    run_id: str
    slot: int
    bundle_digest: str
    instance: str
    coding: Coding = field(default_factory=Coding)
    """How it writes and reads latents."""
    protocol_version: int = PROTOCOL_VERSION

    def serialise(self) -> bytes:
        return peer_pb2.Hello(
            protocol_version=self.protocol_version,
            run_id=self.run_id,
            slot=self.slot,
            bundle_digest=self.bundle_digest,
            instance=self.instance,
            coding=self.coding.to_wire(),
        ).SerializeToString()

    @classmethod
    def parse(cls, data: bytes) -> Hello:
        """Raises MessageError unless this is a hello with nothing missing."""
        if len(data) > _MAX_HELLO_BYTES:
            raise MessageError(f"hello has {len(data)} bytes, none has more than {_MAX_HELLO_BYTES}")
        try:
            wire = peer_pb2.Hello.FromString(data)
        except DecodeError:
            raise MessageError(f"{len(data)} bytes are not a hello") from None
        for name in ("run_id", "bundle_digest", "instance"):
            if not getattr(wire, name):
                raise MessageError(f"hello has no {name}")
        return cls(
            run_id=wire.run_id,
            slot=wire.slot,
            bundle_digest=wire.bundle_digest,
            instance=wire.instance,
            coding=Coding.from_wire(wire.coding),
            protocol_version=wire.protocol_version,
        )


def hello_bytes(metadata: Iterable[tuple[str, str | bytes]] | None) -> bytes:
    """The hello in a call's metadata; empty if there is none."""
    for key, value in metadata or ():
        if key == HELLO_METADATA and isinstance(value, bytes):
            return value
    return b""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a peer is not admitted: a gRPC status by name and a sentence for its log."""

    status: str
    sentence: str


def refusal(hello: Hello, *, own: Hello, team_size: int, roster: Mapping[int, Member]) -> Refusal | None:
    """Whether this peer may not speak with us; None admits it.  Who dials whom is not judged here."""
    if hello.protocol_version != own.protocol_version:
        return Refusal(
            status="FAILED_PRECONDITION",
            sentence=f"protocol version {hello.protocol_version}, this node speaks {own.protocol_version}",
        )
    if hello.run_id != own.run_id:
        return Refusal(
            status="FAILED_PRECONDITION", sentence=f"run {hello.run_id!r}, this node is in run {own.run_id!r}"
        )
    if hello.coding != own.coding:
        return Refusal(
            status="FAILED_PRECONDITION", sentence=f"it writes latents with {hello.coding}, this node with {own.coding}"
        )
    if hello.slot == own.slot:
        return Refusal(status="PERMISSION_DENIED", sentence=f"slot {hello.slot} is this node's own")
    if hello.slot >= team_size:
        return Refusal(status="PERMISSION_DENIED", sentence=f"slot {hello.slot} in a team of {team_size}")
    member = roster.get(hello.slot)
    if member is None:
        if not roster:
            return Refusal(status="UNAVAILABLE", sentence="this node does not know its team yet")
        # The roster that names a new member may reach its peers before it reaches us.
        return Refusal(status="UNAVAILABLE", sentence=f"slot {hello.slot} is not in this node's roster")
    if member.bundle_digest not in ("", hello.bundle_digest):
        digests = f"{hello.bundle_digest[:12]}, the team's is {member.bundle_digest[:12]}"
        return Refusal(status="FAILED_PRECONDITION", sentence=f"slot {hello.slot} has bundle {digests}")
    if member.instance not in ("", hello.instance):
        sentence = f"slot {hello.slot} is held by another instance than {hello.instance!r}"
        return Refusal(status="PERMISSION_DENIED", sentence=sentence)
    return None
