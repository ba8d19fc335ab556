"""A stop that comes at a chosen moment of a training."""

from __future__ import annotations

from heliograph.stopping import StopRequest


class StopAtCheck(StopRequest):
    """Somebody asks for a stop just before the work looks for the so-manieth time."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def check(self) -> None:
        self._left -= 1
        if not self._left:
            self.ask()
        super().check()
