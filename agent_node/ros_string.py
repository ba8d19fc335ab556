"""`std_msgs/String` of ROS 2 as it lies in a payload of Zenoh's bridge to DDS: CDR, little-endian.

Four bytes that say so, the length of the text with the zero at its end as uint32, the text, the zero (OMG DDS-XTypes,
7.4.3, classic CDR).  Written by that standard; it was held against no ROS 2.
"""

from __future__ import annotations

import struct

_HEADER = b"\x00\x01\x00\x00"
_LENGTH = struct.Struct("<I")
_START = len(_HEADER) + _LENGTH.size


def wrapped(text: str) -> bytes:
    """The payload of a message with this text."""
    data = text.encode() + b"\0"
    return _HEADER + _LENGTH.pack(len(data)) + data


def unwrapped(payload: bytes) -> bytes:
    """The text of a message, in UTF-8.  Raises ValueError for what is none."""
    if payload[: len(_HEADER)] != _HEADER or len(payload) < _START:
        raise ValueError("it is no std_msgs/String in little-endian CDR")
    (length,) = _LENGTH.unpack_from(payload, len(_HEADER))
    text = payload[_START : _START + length]
    if not length or len(text) != length or text[-1]:
        raise ValueError("its text is not as long as it says")
    return text[:-1]
