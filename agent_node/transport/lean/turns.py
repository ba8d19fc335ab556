"""Reading that waits for this side's turn to speak, so that acknowledgements ride on messages.  Imported by `link.py`.

Linux sends an acknowledgement in a packet of its own when a process reads for the second time since it wrote, which
happens whenever the two ends of a link change places in who speaks first.  What has come once this side has spoken and
has read once is of a step that this side has not spoken at yet, so nobody needs it, and its acknowledgement goes with
what this side says next.  Whoever needs it all the same says so.
"""

from __future__ import annotations

import asyncio

LONGEST_S = 0.04
"""After so long Linux acknowledges what was not read as well (TCP_DELACK_MIN)."""


class Turns:
    """Of one connection.  Until `spoke` is called, and where nobody is read without it, nothing waits."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._may_wait = False
        self._is_waiting = False
        self._since_s = 0.0  # the loop's time
        self._timer: asyncio.TimerHandle | None = None

    def spoke(self) -> None:
        """A message was written."""
        self._may_wait = True
        if self._is_waiting:
            self.attend()

    def heard(self) -> None:
        """Something was read."""
        if self._may_wait:
            self._may_wait, self._is_waiting = False, True
            self._transport.pause_reading()
            self._since_s = self._loop.time()
            if self._timer is None:  # one that runs is late enough to be set again
                self._timer = self._loop.call_later(LONGEST_S, self._look)

    def attend(self) -> None:
        """What has come is wanted now."""
        if self._is_waiting:
            self._is_waiting = False
            self._transport.resume_reading()

    def end(self) -> None:
        """The connection is over."""
        self._is_waiting = self._may_wait = False
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._is_waiting:
            left_s = self._since_s + LONGEST_S - self._loop.time()
            if left_s > 0:
                self._timer = self._loop.call_later(left_s, self._look)
            else:
                self.attend()
