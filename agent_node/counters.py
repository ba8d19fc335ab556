"""The counters of a node, one entry per peer."""

from __future__ import annotations

from collections import defaultdict

from heliograph.link_counters import LinkCounters


class CounterTable(defaultdict[int, LinkCounters]):
    """Counters by peer slot; an entry appears with its first event."""

    def __init__(self) -> None:
        super().__init__(LinkCounters)
