"""What the kernel's network devices count, when they are ready, and how to make each count packets as on the wire."""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from pathlib import Path

ETHERNET_BYTES = 14
"""Of header, which a device counts with each packet."""

_SIOCGIFFLAGS, _SIOCETHTOOL = 0x8913, 0x8946
_IFF_RUNNING = 0x40
_POLL_S = 0.001
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


def is_running(device: str, *, timeout_s: float) -> bool:
    """Whether a device of the calling thread's namespace passes packets by then, both of its ends having been set up.

    Until a worker of the kernel has come round, which is soon but not at once, it drops them.  Raises OSError.
    """
    import fcntl  # which is not there on every system

    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        while True:
            answer = fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, struct.pack("16s24x", device.encode()))
            (flags,) = struct.unpack_from("=H", answer, 16)
            if flags & _IFF_RUNNING:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)


def switch_off_offloads(device: str) -> None:
    """Let a device of the calling thread's namespace never handle several packets as one.  Raises OSError."""
    import fcntl  # which is not there on every system

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_TX_CHECKSUM, _SCATTER, _TSO, _GSO, _GRO):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
            fcntl.ioctl(control.fileno(), _SIOCETHTOOL, request)
