"""An iteration's updates as far as they have been made, so that a run which is stopped among them goes on there."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.nets.means import Means

_PREFIX = "begun."


class Begun:
    """Metrics of the parts so far."""

    def __init__(self) -> None:
        self._metrics: list[dict[str, float]] = []

    @property
    def parts(self) -> int:
        """How many there are."""
        return len(self._metrics)

    def add(self, metrics: dict[str, float]) -> None:
        """Those of one more part."""
        self._metrics.append(metrics)

    def means(self) -> dict[str, float]:
        """Over the parts, by name."""
        means = Means()
        for metrics in self._metrics:
            means.add(metrics)
        return means.result()

    def counters(self) -> dict[str, float]:
        """For a checkpoint."""
        return {
            f"{_PREFIX}{part}.{name}": value
            for part, metrics in enumerate(self._metrics)
            for name, value in metrics.items()
        }


def begun_in(counters: Mapping[str, float]) -> Begun:
    """What a checkpoint's counters tell."""
    parts: dict[int, dict[str, float]] = {}
    for key, value in counters.items():
        if key.startswith(_PREFIX):
            part, _, name = key.removeprefix(_PREFIX).partition(".")
            parts.setdefault(int(part), {})[name] = value
    begun = Begun()
    for number in sorted(parts):
        begun.add(parts[number])
    return begun
