"""Prometheus metrics of a process: a registry of its own, served over HTTP.  For every role.

Off unless asked for; only then is `prometheus_client`, of the extra `observe`, imported.  What the process counts
anyway is read when somebody asks, so a step costs no more than its histogram.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from heliograph.extras import extra
from heliograph.listening import bind

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from heliograph.tls import Tls

logger = logging.getLogger(__name__)

LATENCY_BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""From a wait within a machine up to the deadline of an action."""


def add_metrics_argument(parser: argparse.ArgumentParser, *, help: str = "serve Prometheus metrics here") -> None:
    parser.add_argument("--metrics", metavar="HOST:PORT", help=help)


@contextmanager
def serving_metrics(listen: str) -> Iterator[tuple[CollectorRegistry, str]]:
    """Inside, the registry, which says of the process what it needs of CPU and memory, is served at the address.

    Raises MissingExtra, SettingsError if `listen` is not host:port, or PortTaken.
    """
    with extra("observe", packages={"prometheus_client"}, purpose="serving metrics"):
        from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
    from heliograph import bounded_http  # a web server, which most processes do without

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    listener, address = bind(listen)
    logger.info("metrics address=%s", address)
    with bounded_http.serving(listener, make_wsgi_app(registry)):
        yield registry, address


class CollectedLate:
    """Metrics that `collect` makes when they are asked for, by a thread of the server."""

    def __init__(self, registry: CollectorRegistry, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        # Or the registry would collect them once to learn their names, before there is anything.
        return ()


def days_to_expiry(tls: Tls | None) -> Iterator[Metric]:
    """Of the certificate of this process and of the authority that signed it, as they are now; nothing in plaintext."""
    from prometheus_client.core import GaugeMetricFamily

    if tls is None:
        return
    family = GaugeMetricFamily(
        "heliograph_certificate_days_to_expiry",
        "Days until a certificate expires, negative once it has",
        labels=("identity", "file"),
    )
    for validity in tls.validities:
        family.add_metric((str(tls.identity), validity.name), validity.days_left())
    yield family


def refused(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    """A counter of what a server has refused, by name of the gRPC status."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, f"{text}, by status", labels=("status",))
    for status, count in sorted(dict(counts).items()):
        family.add_metric((status,), count)
    return family
