"""What a run tells Prometheus: steps, episodes, and what was not heard on which link.  Imported by `observation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coordinator.plan.plan import Plan
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.bundle import Bundle
from heliograph.metrics import LATENCY_BUCKETS_S, CollectedLate, days_to_expiry, refused

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from heliograph.tls import Tls

LINK_COUNTS = {
    "hearable": "Messages that should have been read",
    "masked": "Messages that should have been read and were not there in time",
    "lost": "Messages that the simulated channel lost",
    "late": "Messages that the simulated channel delayed beyond their step",
}


class RunMetrics:
    """An observer of a run.  `live` says how many nodes take part right now, `refusals` what its server has refused,
    `tls` how long its certificate is good for."""

    def __init__(
        self,
        registry: CollectorRegistry,
        plan: Plan,
        *,
        live: Callable[[], int],
        refusals: Mapping[str, int],
        tls: Tls | None = None,
    ) -> None:
        from prometheus_client import Counter, Gauge, Histogram, Summary

        self._seconds = Histogram(
            "heliograph_run_step_seconds",
            "From sending the agent inputs until the last awaited action was there",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._idle = Counter(
            "heliograph_run_idle_actions",
            "Actions that the world took for agents that did not answer",
            registry=registry,
        )
        self._outcome = Summary(
            "heliograph_run_episode_outcome", "Outcomes of finished episodes", ("links",), registry=registry
        )
        self._return = Summary(
            "heliograph_run_episode_return", "Returns per agent of finished episodes", ("links",), registry=registry
        )
        Gauge("heliograph_run_nodes", "Nodes that take part", registry=registry).set_function(live)
        self._bundles = Gauge(
            "heliograph_run_bundle_info",
            "The bundles that are handed out",
            ("slot", "digest", "algorithm", "environment", "training_step"),
            registry=registry,
        )
        self.switched(plan.bundles)
        agents = len(plan.bundles)
        self._counts = {name: np.zeros((agents, agents), dtype=np.int64) for name in LINK_COUNTS}
        CollectedLate(registry, self._links)
        CollectedLate(registry, lambda: days_to_expiry(tls))
        CollectedLate(registry, lambda: [refused("heliograph_run_refused", "Calls that were refused", refusals)])

    def step(self, _name: str, record: StepRecord) -> None:
        self._seconds.observe(record.latency_s)
        if idle := int((record.present & ~record.acted).sum()):
            self._idle.inc(idle)
        if record.step:  # before, nobody has said anything
            # Whoever did not answer does not say what it heard.
            self._counts["hearable"] += record.hears & record.acted[:, None]
            self._counts["masked"] += record.masked
            self._counts["lost"] += record.lost
            self._counts["late"] += record.delay > 0

    def switched(self, bundles: Sequence[Bundle]) -> None:
        """These are handed out from now on."""
        self._bundles.clear()
        for slot, bundle in enumerate(bundles):
            manifest = bundle.manifest
            self._bundles.labels(
                slot, bundle.digest, manifest.algorithm, manifest.environment, manifest.training_step
            ).set(1)

    def episode(self, name: str, result: EpisodeResult) -> None:
        self._outcome.labels(name).observe(result.outcome)
        self._return.labels(name).observe(result.team_return)

    def _links(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        for name, text in LINK_COUNTS.items():
            family = CounterMetricFamily(f"heliograph_run_link_{name}", text, labels=("sender", "receiver"))
            for (receiver, sender), count in np.ndenumerate(self._counts[name].copy()):
                if receiver != sender:
                    family.add_metric((str(sender), str(receiver)), int(count))
            yield family
