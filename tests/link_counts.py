"""Counts of links that do not depend on how busy a machine is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from coordinator.serving.conservation import LinkBalance


def arrivals(links: Iterable[LinkBalance]) -> list[LinkBalance]:
    """The balances with what came late among what was delivered.

    A message that is sent to an agent which then cannot hear its sender is awaited by nobody, so it may come before its
    step is closed or after.  What is read is awaited, and counted the same anywhere.
    """
    return [replace(link, delivered=link.delivered + link.late, late=0) for link in links]
