"""Peer messages as bytes, and back, strictly.  Imported by the node's peer code, the in-process team and tests.

Protobuf objects of the peer protocol never leave this module and `hello.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from agent_node.message import Label, Message
from heliograph.actions import ActionSpace, ContinuousActions, received
from heliograph.codecs import Codec
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import MessageError
from heliograph.manifest import Manifest
from heliograph.pb import latent_pb2, peer_pb2

_OVERHEAD_BYTES = 32
"""Upper bound of what is neither the latent nor the levels of an action: three tagged varints of at most 6 bytes each
(or two, and a tag and a length in place of the numbered action), a tag and a length, a codec."""

_FELL_BACK = latent_pb2.LATENT_CODEC_BIT_PACKED
_LATENT, _ACTION = (number << 3 | kind for number, kind in ((3, 2), (4, 0)))  # tags: field 3 of bytes, field 4 a varint
_NO_HEAD = b"\0"  # with which no message begins

_Fields = tuple[int, int, bytes, int, bytes, bool]
"""Episode, step, payload of the latent, number and levels of the action, whether the codec fell back."""


class Written(NamedTuple):
    """A message as it goes over a stream."""

    data: bytes
    latent_bits: int
    """Of the latent in it, as its codec counts them, without padding."""


class MessageWire:
    """Serialises and parses the messages of one team: K categoricals of C classes by `codec`, and what was done.

    `actions` are the sender's own, `team_actions` by slot those of a team in which some act otherwise.  Without a codec
    the bits are packed.
    """

    def __init__(
        self,
        message_format: MessageFormat,
        *,
        actions: ActionSpace,
        team_actions: Sequence[ActionSpace] = (),
        codec: Codec | None = None,
    ) -> None:
        self.codec: Codec = message_format.codec if codec is None else codec
        self._needs_previous = self.codec.needs_previous
        told = (actions, *team_actions)
        action_bytes = max(each.codec.payload_bytes if isinstance(each, ContinuousActions) else 0 for each in told)
        self.max_bytes = message_format.codec.payload_bytes + action_bytes + _OVERHEAD_BYTES
        """No message is longer; what is longer is refused unread."""
        self._actions, self._team_actions = actions, tuple(team_actions)
        self._label: Label | None = None
        self._head = _NO_HEAD  # of messages of that label: what comes before the length of the latent

    @classmethod
    def of(cls, manifest: Manifest, codec: Codec | None = None) -> MessageWire | None:
        """The wire format of a bundle's messages; None if it sends none."""
        if manifest.message is None:
            return None
        told = manifest.team_actions or ()
        return cls(manifest.message, actions=manifest.actions, team_actions=told, codec=codec)

    def serialise(self, message: Message, previous: npt.NDArray[np.int32] | None = None) -> Written:
        """For a listener that has got `previous`, the sender's latent of the step before, on the same stream.

        Raises MessageError if the latent does not fit the format.
        """
        latent, fell_back = self.codec.encode(message.latent, previous)
        self._expect(message.episode, message.step)
        wire = peer_pb2.LatentMessage(episode=message.episode, step=message.step, latent=latent)
        if isinstance(self._actions, ContinuousActions):
            wire.levels = self._actions.pack(message.action)
        else:
            wire.action = int(message.action)
        if fell_back:
            wire.codec = _FELL_BACK
        return Written(wire.SerializeToString(), self.codec.size_bits(message.latent, previous))

    def parse(self, data: bytes, before: Message | None = None, *, sender: int | None = None) -> Message:
        """`before` is what came before it on the same stream, `sender` the slot that said it; None: this one.

        Raises MessageError for anything but the one serialisation of a valid message.
        """
        if len(data) > self.max_bytes:
            raise MessageError(f"message has {len(data)} bytes, none has more than {self.max_bytes}")
        fields = self._by_places(data) or self._by_protobuf(data)
        episode, step, payload, number, levels, fell_back = fields
        previous = self._previous(episode, step, before) if self._needs_previous else None
        latent = self.codec.decode(payload, previous, fell_back)
        actions = self._actions if sender is None or not self._team_actions else self._team_actions[sender]
        action = received(actions, number=number, levels=levels, sender="message")
        if not actions.admits(action):
            raise MessageError(f"message has action {action}, there are {actions.mask_size}")
        return Message(episode, step, latent, action)

    def latent_bits(self, message: Message, before: Message | None) -> int:
        """What its sender counted for the latent of a message, which came after `before` on the same stream."""
        previous = self._previous(message.episode, message.step, before) if self._needs_previous else None
        return self.codec.size_bits(message.latent, previous)

    def _by_places(self, data: bytes) -> _Fields | None:
        """The fields of a message of the label that was met last, as most are; None if others must look at it.

        There is one way to write a head, a length below 128, a latent, and an action that is 0 or below 128.
        """
        if self._label is None or not data.startswith(self._head):
            return None
        at = len(self._head) + 1
        end, size = at + data[at - 1] if at <= len(data) else 0, len(data)
        if not at < end < at + 128:
            return None
        if size == end:
            number = 0
        elif size == end + 2 and data[end] == _ACTION and 0 < data[end + 1] < 128:
            number = data[end + 1]
        else:
            return None
        return *self._label, data[at:end], number, b"", False

    def _by_protobuf(self, data: bytes) -> _Fields:
        try:
            wire = peer_pb2.LatentMessage.FromString(data)
        except DecodeError:
            raise MessageError(f"{len(data)} bytes are not a message") from None
        fields = wire.episode, wire.step, wire.latent, wire.action, wire.levels, wire.codec == _FELL_BACK
        if wire.codec not in (0, _FELL_BACK):
            raise MessageError(f"message is written with codec {wire.codec}, here they are with {self.codec.spec}")
        # Unknown fields, repeated or overlong encodings and another order parse, but nobody of this protocol version
        # sends them.
        wire.DiscardUnknownFields()  # type: ignore[attr-defined]  # left out of the stubs
        if wire.SerializeToString() != data:
            raise MessageError("message holds bytes that are no field of it, or its fields in another order")
        self._expect(wire.episode, wire.step)
        return fields

    def _expect(self, episode: int, step: int) -> None:
        """More messages of this label are to come, all of which begin alike."""
        if self._label != (episode, step):
            head = peer_pb2.LatentMessage(episode=episode, step=step).SerializeToString()
            self._label, self._head = (episode, step), head + bytes((_LATENT,))

    def _previous(self, episode: int, step: int, before: Message | None) -> npt.NDArray[np.int32] | None:
        """The latent that the codec may refer to."""
        return None if before is None or before.label != (episode, step - 1) else before.latent


class Outgoing:
    """A message on its way to its listeners.

    Serialised when the first of them is there, and at most twice: for those who have got `before`, the sender's message
    of the step before, and for the others, if the codec makes a difference between them.
    """

    def __init__(self, message: Message, *, before: Message | None, wire: MessageWire) -> None:
        self.message = message
        self._wire = wire
        if not wire.codec.needs_previous or before is None or before.label != (message.episode, message.step - 1):
            before = None
        self._before = before
        self._alone: Written | None = None
        self._following: Written | None = None

    def written(self, sent_before: Label | None) -> Written:
        """For a stream that `sent_before` was the label of the newest message on, None if it is the first.

        Raises MessageError if the latent does not fit the format.
        """
        if self._before is not None and self._before.label == sent_before:
            if self._following is None:
                self._following = self._wire.serialise(self.message, self._before.latent)
            return self._following
        if self._alone is None:
            self._alone = self._wire.serialise(self.message)
        return self._alone

    @cached_property
    def as_read(self) -> Message:
        """What its listeners get without a stream between; not what was said, if the codec loses some of it."""
        return self.message if self._wire.codec.lossless else self._wire.parse(self.written(None).data)
