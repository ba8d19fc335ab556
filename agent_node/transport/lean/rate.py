"""So much at once, and so much more each second.  Imported by `connection.py` and `server.py`."""

from __future__ import annotations

import math
import time


class Rate:
    """What is left of `at_once`, which fills again at `per_s`; the clock is read only when it is used up.

    No more is owed than fills again within `most_wait_s`, whatever has been spent.
    """

    def __init__(self, *, at_once: float, per_s: float, most_wait_s: float = math.inf) -> None:
        self._at_once, self._per_s, self._least = at_once, per_s, -per_s * most_wait_s
        self._left, self._at_s = at_once, time.monotonic()

    def spend(self, amount: float) -> float:
        """Take an amount; the seconds until there is something left again, 0 if there is."""
        self._left -= amount
        if self._left >= 0:
            return 0.0
        now_s = time.monotonic()
        self._left = min(self._at_once, self._left + self._per_s * (now_s - self._at_s))
        self._left = max(self._least, self._left)
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)

    def earn(self, amount: float) -> None:
        """Put something back."""
        if self._left < self._at_once:
            self._left = min(self._at_once, self._left + amount)
