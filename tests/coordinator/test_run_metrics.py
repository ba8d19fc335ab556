"""What a run counts for Prometheus, step by step."""

from __future__ import annotations

import pytest
from relay_team import relay_plan
from step_record import LATENCY_S, step_record

from coordinator.observers.metrics import RunMetrics

prometheus = pytest.importorskip("prometheus_client")


def test_steps_idle_actions_and_links_are_counted_from_the_first_message_on() -> None:
    registry = prometheus.CollectorRegistry()
    metrics = RunMetrics(registry, relay_plan(2), live=lambda: 2, refusals={"UNAVAILABLE": 4})
    for step in range(3):
        metrics.step("open", step_record(step))
    lines = prometheus.generate_latest(registry).decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    (seconds,) = (name for name in values if name.startswith("heliograph_run_") and name.endswith("seconds_sum"))
    assert float(values[seconds]) == pytest.approx(3 * LATENCY_S)
    assert values["heliograph_run_idle_actions_total"] == "3.0"
    # At the first step nobody has said anything.
    for name, sender, receiver, count in (
        ("hearable", 1, 0, 2),
        ("hearable", 0, 1, 0),  # who did not answer does not say what it heard
        ("masked", 1, 0, 2),
        ("masked", 0, 1, 0),
        ("late", 0, 1, 2),
        ("lost", 1, 0, 0),
    ):
        link = f'heliograph_run_link_{name}_total{{receiver="{receiver}",sender="{sender}"}}'
        assert float(values[link]) == count, link
    assert values["heliograph_run_nodes"] == "2.0"
    assert values['heliograph_run_refused_total{status="UNAVAILABLE"}'] == "4.0"
    assert not any(name.startswith("heliograph_certificate") for name in values), "without TLS there is none"
