"""Joins pairs of network devices frame by frame, late and with losses: a process of its own, in a namespace of its own.

    python -m coordinator.links.frame_bridge DELAY_MS LOSS DEVICE:DEVICE …

It says `ready` once it forwards, and ends when its stdin is closed, with whoever started it.  It adds some tenths of a
millisecond of its own to the delay.  Offloads of the devices must be off, or frames would lack their checksums.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence

_EVERY_PROTOCOL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_RECEIVE_BUFFER_FORCE, _BUFFER_BYTES = 33, 2**22
"""SO_RCVBUFFORCE: a burst must not be lost because this process was not scheduled; the default holds 300 frames."""
_FRAME_BYTES = 65_536
_BURST = 64
"""Frames that are read from one device before the others have their turn."""


def _open(device: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
    raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    raw.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
    raw.bind((device, 0))
    raw.setblocking(False)
    return raw


def bridge(pairs: Sequence[tuple[str, str]], *, delay_s: float, loss: float) -> None:
    """Forward frames between the devices of each pair until stdin is closed."""
    sinks: dict[socket.socket, socket.socket] = {}
    for one, other in pairs:
        here, there = _open(one), _open(other)
        sinks[here], sinks[there] = there, here
    print("ready", flush=True)
    # All frames wait equally long, so the first that came is always the first that is due.
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([sys.stdin, *sinks], [], [], timeout)
        now = time.monotonic()
        for source in readable:
            if not isinstance(source, socket.socket):
                return  # whoever started this has closed stdin, or is gone
            for frame in _arrived(source):
                if random.random() >= loss:
                    waiting.append((now + delay_s, sinks[source], frame))
        while waiting and waiting[0][0] <= now:
            _, sink, frame = waiting.popleft()
            with contextlib.suppress(OSError):  # the device is full or gone: a lost frame, as on any wire
                sink.send(frame)


def _arrived(source: socket.socket) -> list[bytes]:
    frames = []
    for _ in range(_BURST):
        try:
            frames.append(source.recv(_FRAME_BYTES))
        except OSError:
            break
    return frames


if __name__ == "__main__":
    delay_ms, share, *joined = sys.argv[1:]
    ends = [text.split(":") for text in joined]
    bridge([(one, other) for one, other in ends], delay_s=float(delay_ms) * 1e-3, loss=float(share))
