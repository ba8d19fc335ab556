"""Exact sizes of messages, as the nodes would serialise them.  For counted runs and for recorded ones.

Axis legend: T steps of an episode, N agents, K categoricals, k dimensions of a continuous action.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.action_rows import ActionRows
from heliograph.actions import ContinuousActions
from heliograph.codecs import Codec
from heliograph.codecs.message_format import MessageFormat


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a team writes its messages."""

    rows: ActionRows
    codec: Codec
    """Of the latents."""
    message: MessageFormat


def message_sizes(
    *,
    episode: int,
    sent: npt.NDArray[np.bool_],
    latent: npt.NDArray[np.int32],
    action: npt.NDArray[np.int64 | np.float32],
    written: Writing,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Bits of the latents without padding, and bytes of the messages: int64 [T, N, N], [t, i, j] of i's message to j.

    `sent` bool [T, N, N] says which there are, `latent` int32 [T, N, K] and `action`, int64 [T, N] or float32
    [T, N, ...] by what is `written`, what they hold.
    """
    rows, codec, message = written.rows, written.codec, written.message
    codec_bits, protobuf_bytes = np.zeros(sent.shape, dtype=np.int64), np.zeros(sent.shape, dtype=np.int64)
    for step, sender in np.argwhere(sent.any(-1)).tolist():
        said, listeners = latent[step, sender], sent[step, sender]
        done, space = rows.action(sender, action[step, sender]), rows.spaces[sender]
        # Whoever was sent the message before has got it on the same stream, in order, whatever a channel then loses.
        follows = listeners & sent[step - 1, sender] if step else np.zeros_like(listeners)
        cases = [(listeners, None)]
        if codec.needs_previous:
            cases = [(listeners & ~follows, None), (follows, latent[step - 1, sender])]
        for receivers, previous in cases:
            if receivers.any():
                bits = codec.size_bits(said, previous)
                codec_bits[step, sender, receivers] = bits
                # Only a message as long as a bit-packed one can be one, and only coding it tells.
                may_be = bits == message.codec.size_bits(said) and codec.spec != message.codec.spec
                protobuf_bytes[step, sender, receivers] = message_bytes(
                    episode=episode,
                    step=step,
                    payload_bytes=-(-bits // 8),
                    action=done if isinstance(done, int) else 0,
                    levels_bytes=space.codec.payload_bytes if isinstance(space, ContinuousActions) else 0,
                    fell_back=may_be and codec.encode(said, previous).fell_back,
                )
    return codec_bits, protobuf_bytes


def message_bytes(
    *, episode: int, step: int, payload_bytes: int, action: int, fell_back: bool, levels_bytes: int = 0
) -> int:
    """Serialised size of a LatentMessage: a tag per field that is not 0, varints, and payloads with their lengths."""
    numbers = sum(1 + _varint_bytes(value) for value in (episode, step, action, int(fell_back)) if value)
    return numbers + sum(1 + _varint_bytes(size) + size for size in (payload_bytes, levels_bytes) if size)


def _varint_bytes(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))
