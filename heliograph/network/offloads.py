"""Switches off what lets a device handle several packets as one: counted and bridged are the packets of the wire."""

from __future__ import annotations

import ctypes
import socket
import struct

_SIOCETHTOOL = 0x8946
_TX_CHECKSUM, _SCATTER, _TSO, _GSO, _GRO = 0x17, 0x19, 0x1F, 0x24, 0x2C
"""The ETHTOOL_S… commands of linux/ethtool.h."""


def switch_off(device: str) -> None:
    """Of a device in the calling thread's namespace.  Raises OSError if it cannot be."""
    import fcntl  # which is not there on every system

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_TX_CHECKSUM, _SCATTER, _TSO, _GSO, _GRO):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
            fcntl.ioctl(control.fileno(), _SIOCETHTOOL, request)
