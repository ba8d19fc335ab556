"""What a training tells Prometheus: steps, iterations, and every number of its log, losses among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from heliograph.metrics import serving_metrics
from heliograph.optional import optional

if TYPE_CHECKING:
    from trainer.training.training import Progress


class ScrapedProgress:
    """A `Progress` that also tells another one."""

    def __init__(self, registry: Any, other: Progress) -> None:
        from prometheus_client import Gauge

        self._other = other
        self._env_steps = Gauge("heliograph_training_env_steps", "Environment steps so far", registry=registry)
        self._iterations = Gauge("heliograph_training_iterations", "Iterations so far", registry=registry)
        self._share = Gauge("heliograph_training_share", "Of the run that is done, 0 to 1", registry=registry)
        self._newest = Gauge(
            "heliograph_training_value", "Newest value of a number of metrics.jsonl", ("name",), registry=registry
        )

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        self._env_steps.set(record["env_steps"])
        self._iterations.set(record["iteration"])
        self._share.set(share)
        with optional("metrics of this iteration are not all told"):
            for name, value in record.items():
                if "/" in name:
                    self._newest.labels(name).set(value)
        self._other.iteration(record, share=share)


@contextmanager
def scraped(progress: Progress, listen: str | None) -> Iterator[Progress]:
    """Inside, what the progress is told is served at `listen`, if there is one.  Raises as `serving_metrics`."""
    if listen is None:
        yield progress
        return
    with serving_metrics(listen) as (registry, _):
        yield ScrapedProgress(registry, progress)
