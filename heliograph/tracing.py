"""OpenTelemetry traces of a run: an episode is a trace, its steps are spans, and below each are the agents' parts.

Ids follow from run, episode, step and slot.  So all processes of a team add to the same trace, and no message between
them has to carry anything for it.  Off unless asked for; only then is `opentelemetry`, of the extra `trace`, imported.
Spans go to a collector by OTLP over HTTP, from a queue with a thread of its own that forgets what it cannot send.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.extras import extra
from heliograph.optional import optional

SEND_TIMEOUT_S = 2
"""For one batch, also for the last one when a process ends."""


def add_trace_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trace", metavar="URL", help="send OpenTelemetry traces to this collector, by OTLP over HTTP")


def trace_id(run: str, episode: int) -> int:
    """128 bits, never 0."""
    return _number(f"{run}/{episode}", size_bytes=16)


def span_id(run: str, episode: int, step: int | None = None, slot: int | None = None) -> int:
    """64 bits, never 0: of an episode, of a step of it, or of an agent's part in that."""
    return _number(f"{run}/{episode}/{step}/{slot}", size_bytes=8)


def _number(text: str, *, size_bytes: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size_bytes], "big") or 1


class Spans:
    """Writes finished spans to the collector at `url`, under the name of a service."""

    def __init__(self, url: str, *, service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        class Ids(IdGenerator):
            trace = span = 0

            def generate_trace_id(self) -> int:
                return self.trace

            def generate_span_id(self) -> int:
                return self.span

        self._ids = Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}), id_generator=self._ids, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=SEND_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("heliograph")

    # Eight parameters: all that a span says, each a word of its own where it is written.
    def write(
        self,
        name: str,
        *,
        run: str,
        episode: int,
        step: int | None = None,
        slot: int | None = None,
        began_ns: int,
        ended_ns: int,
        attributes: dict[str, str | int | float | bool],
    ) -> None:
        """One span, whose parent follows from what it is of.  Times are of the Unix clock."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        self._ids.trace, self._ids.span = trace_id(run, episode), span_id(run, episode, step, slot)
        context = Context()
        if step is not None:
            above = span_id(run, episode, None if slot is None else step)
            parent = SpanContext(self._ids.trace, above, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(parent), context)
        span = self._tracer.start_span(name, context, start_time=began_ns, attributes=attributes)
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is left."""
        with optional("spans that were left are not sent"):
            self._provider.shutdown()


@contextmanager
def sending_spans(url: str, *, service: str) -> Iterator[Spans]:
    """Inside, spans are sent.  Raises MissingExtra."""
    with extra("trace", packages={"opentelemetry"}, purpose="sending traces"):
        spans = Spans(url, service=service)
    try:
        yield spans
    finally:
        spans.close()
