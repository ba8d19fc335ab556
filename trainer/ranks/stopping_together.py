"""Work that a stop may end on one rank while the others are through with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from heliograph.stopping import Stopped
from trainer.ranks.group import ranks

T = TypeVar("T")


def done_on_all(work: Callable[[], T]) -> T:
    """What `work`, which ranks do without one another, has come to.

    Raises Stopped on all ranks if it was stopped on one, so that nobody goes on to where all are needed.
    """
    found: list[T] = []
    with suppress(Stopped):
        found.append(work())
    if ranks().any(not found):
        raise Stopped
    return found[0]
