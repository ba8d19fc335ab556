"""What a node tells Prometheus: how long its steps take, and what it counts of its links.  Imported by `process.py`.

The counts belong to the node's thread; they are copied in one go, and a number that has just grown may be one behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_node.node import Node
from agent_node.world import StepReport
from heliograph.metrics import LATENCY_BUCKETS_S, CollectedLate, days_to_expiry, refused, serving_metrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from heliograph.tls import Tls

LINK_COUNTERS = {
    "sent": "Messages handed to the stream of this peer",
    "sent_bytes": "Serialised size of those",
    "sent_bits": "Bits of the latents in those, as their codec counts them",
    "send_skipped": "Messages meant for this peer, which had no stream or had been silent for too long",
    "delivered": "Messages of this peer that came in time",
    "delivered_bytes": "Serialised size of those",
    "late": "Messages of this peer after their step, or delayed by the simulated channel",
    "lost": "Messages of this peer that the simulated channel lost",
    "rejected": "Messages of this peer that were malformed, duplicate, or of an impossible step",
    "masked": "Steps at which this peer should have been heard and was absent",
}
"""Fields of `LinkCounters`, and what they are."""


@contextmanager
def node_metrics(node: Node, listen: str | None, tls: Tls | None = None) -> Iterator[None]:
    """Inside, the node's metrics are served at `listen`, if there is one, with how long its certificate is good for.

    Raises what `serving_metrics` raises.
    """
    if listen is None:
        yield
        return
    with serving_metrics(listen) as (registry, _):
        node.observers.append(_Steps(registry, slot=node.slot).add)
        CollectedLate(registry, lambda: _links(node))
        CollectedLate(registry, lambda: _refusals(node))
        CollectedLate(registry, lambda: _bundle(node))
        CollectedLate(registry, lambda: days_to_expiry(tls))
        yield


class _Steps:
    def __init__(self, registry: CollectorRegistry, *, slot: int) -> None:
        from prometheus_client import Histogram

        seconds = Histogram(
            "heliograph_node_step_seconds",
            "Time of a step: waited for messages, or computed in the bundle's step function",
            ("slot", "part"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._waited, self._computed = seconds.labels(slot, "waited"), seconds.labels(slot, "computed")

    def add(self, report: StepReport) -> None:
        self._waited.observe(report.waited_s)
        self._computed.observe(report.computed_s)


def _links(node: Node) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    counts = dict(node.counts)
    for name, text in LINK_COUNTERS.items():
        family = CounterMetricFamily(f"heliograph_link_{name}", text, labels=("slot", "peer"))
        for peer, counters in sorted(counts.items()):
            family.add_metric((str(node.slot), str(peer)), getattr(counters, name))
        yield family


def _refusals(node: Node) -> Iterator[Metric]:
    yield refused("heliograph_node_refused", "Streams that were refused", node.refusals.counts)


def _bundle(node: Node) -> Iterator[Metric]:
    from prometheus_client.core import InfoMetricFamily

    manifest = node.manifest
    yield InfoMetricFamily(
        "heliograph_bundle",
        "The bundle that this process runs",
        {
            "slot": str(node.slot),
            "digest": node.bundle_digest,
            "algorithm": manifest.algorithm,
            "environment": manifest.environment,
            "run_id": manifest.run_id,
            "training_step": str(manifest.training_step),
        },
    )
