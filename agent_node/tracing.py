"""A node's part in the traces of its run.  Imported by `process.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent_node.node import Node
from agent_node.world import StepReport
from heliograph import log
from heliograph.tracing import sending_spans


@contextmanager
def node_traces(node: Node, url: str | None) -> Iterator[None]:
    """Inside, each step of the node is a span at the collector, if there is one.  Raises MissingExtra."""
    if url is None:
        yield
        return
    with sending_spans(url, service="heliograph-node") as spans:

        def write(report: StepReport) -> None:
            spans.write(
                f"agent {node.slot}",
                run=log.here().run or "",
                episode=report.episode,
                step=report.step,
                slot=node.slot,
                began_ns=report.decided_ns - int((report.waited_s + report.computed_s) * 1e9),
                ended_ns=report.decided_ns,
                attributes={
                    "slot": node.slot,
                    "waited_ms": report.waited_s * 1e3,
                    "computed_ms": report.computed_s * 1e3,
                    "masked": len(report.masked),
                },
            )

        node.observers.append(write)
        yield
