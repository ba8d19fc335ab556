"""Reading that waits for this side's turn to speak, so that acknowledgements ride on messages.  Imported by `link.py`.

Linux sends an acknowledgement in a packet of its own when a process reads for the second time since it wrote, which
happens whenever the two ends of a link change places in who speaks first.  Who has spoken at a step and has got the
other side's message of the same step needs nothing of the next one yet, and its acknowledgement goes with what this
side says then.  Whoever needs it all the same says so.
"""

from __future__ import annotations

import asyncio

LONGEST_S = 0.04
"""After so long Linux acknowledges what was not read as well (TCP_DELACK_MIN)."""


class Turns:
    """Of one connection, which is read unless it rests."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._is_resting = False
        self._since_s = 0.0  # the loop's time
        self._timer: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """What comes next is not wanted until this side speaks."""
        if not self._is_resting:
            self._is_resting = True
            self._transport.pause_reading()
            self._since_s = self._loop.time()
            if self._timer is None:  # one that runs is late enough to be set again
                self._timer = self._loop.call_later(LONGEST_S, self._look)

    def attend(self) -> None:
        """This side speaks, or what has come is wanted now."""
        if self._is_resting:
            self._is_resting = False
            self._transport.resume_reading()

    def end(self) -> None:
        """The connection is over."""
        self._is_resting = False
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._is_resting:
            left_s = self._since_s + LONGEST_S - self._loop.time()
            if left_s > 0:
                self._timer = self._loop.call_later(left_s, self._look)
            else:
                self.attend()
