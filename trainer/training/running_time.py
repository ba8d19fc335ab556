"""Time while this process runs: a clock that stands still while it is stopped (SIGSTOP, Ctrl-Z), its container frozen
or its machine asleep."""

from __future__ import annotations

import threading
import time

BEAT_S = 1.0
"""A thread looks so often; another thread that computes does not keep it from that for long."""
LEAST_S = 5.0
"""A shorter gap between two looks is a busy machine, not a process that did not run."""
IDLE = 0.5
"""Of a processor: a process that took more in a gap ran, in a call that lets no other thread run."""


class RunningTime:
    """Counts from when it is made until it is ended; any thread may read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left_out = 0.0
        self._seen = time.monotonic(), time.process_time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="running-time", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Seconds since some moment, never less than a call before has said; after a gap what ran of it is not known,
        and all of it is left out, at most `BEAT_S` too much."""
        with self._lock:
            then, spent = self._seen
            self._seen = time.monotonic(), time.process_time()
            now, spent_now = self._seen
            gap = now - then
            if gap >= LEAST_S and spent_now - spent < IDLE * gap:
                self._left_out += gap
            return now - self._left_out

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._ended.wait(BEAT_S):
            self.now()
