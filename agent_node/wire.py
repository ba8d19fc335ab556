"""Peer messages as bytes, and back, strictly.  Imported by the node's peer code and by tests of the protocol.

Protobuf objects of the peer protocol never leave this module and `hello.py`.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from agent_node.message import Message
from heliograph.errors import MessageError
from heliograph.manifest import Manifest, MessageFormat
from heliograph.pb import peer_pb2

_OVERHEAD_BYTES = 32
"""Upper bound of what is not the latent: three tagged varints of at most 6 bytes each, a tag and a length."""


class MessageWire:
    """Serialises and parses the messages of one team's format: K categoricals of C classes, A actions."""

    def __init__(self, message_format: MessageFormat, *, actions: int) -> None:
        self._codec = message_format.codec
        self._actions = actions

    @classmethod
    def of(cls, manifest: Manifest) -> MessageWire | None:
        """The wire format of a bundle's messages; None if it sends none."""
        if manifest.message is None:
            return None
        return cls(manifest.message, actions=manifest.actions.count)

    @property
    def max_bytes(self) -> int:
        """No message is longer; what is longer is refused unread."""
        return self._codec.payload_bytes + _OVERHEAD_BYTES

    def serialise(self, message: Message) -> bytes:
        """Raises MessageError if the latent does not fit the format."""
        return peer_pb2.LatentMessage(
            episode=message.episode,
            step=message.step,
            latent=self._codec.pack(message.latent),
            action=message.action,
        ).SerializeToString()

    def parse(self, data: bytes) -> Message:
        """Raises MessageError for anything but the one serialisation of a valid message."""
        if len(data) > self.max_bytes:
            raise MessageError(f"message has {len(data)} bytes, none has more than {self.max_bytes}")
        try:
            wire = peer_pb2.LatentMessage.FromString(data)
        except DecodeError:
            raise MessageError(f"{len(data)} bytes are not a message") from None
        if wire.codec:
            raise MessageError(f"message has its latent written with codec {wire.codec}, this team only packs bits")
        latent = self._codec.unpack(wire.latent)
        if wire.action >= self._actions:
            raise MessageError(f"message has action {wire.action}, there are {self._actions}")
        message = Message(episode=wire.episode, step=wire.step, latent=latent, action=wire.action)
        # Unknown fields and repeated or overlong encodings parse, but nobody of this protocol version sends them.
        wire.DiscardUnknownFields()
        if wire.ByteSize() != len(data):
            raise MessageError("message holds bytes that are no field of it")
        return message
