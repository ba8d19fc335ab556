"""What the kernel's network devices count, and how to make each count packets as they are on the wire."""

from __future__ import annotations

import ctypes
import socket
import struct
from pathlib import Path

ETHERNET_BYTES = 14
"""Of header, which a device counts with each packet."""

_SIOCETHTOOL = 0x8946
_TX_CHECKSUM, _SCATTER, _TSO, _GSO, _GRO = 0x17, 0x19, 0x1F, 0x24, 0x2C
"""The ETHTOOL_S… commands of linux/ethtool.h."""


def transmitted() -> dict[str, tuple[int, int]]:
    """Bytes and packets that each device of the calling thread's namespace has sent."""
    found = {}
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, colon, fields = line.partition(":")
        if colon:
            found[name.strip()] = int(fields.split()[8]), int(fields.split()[9])
    return found


def switch_off_offloads(device: str) -> None:
    """Let a device of the calling thread's namespace never handle several packets as one.  Raises OSError."""
    import fcntl  # which is not there on every system

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_TX_CHECKSUM, _SCATTER, _TSO, _GSO, _GRO):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
            fcntl.ioctl(control.fileno(), _SIOCETHTOOL, request)
