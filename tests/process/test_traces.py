"""OpenTelemetry traces of a real run: what each process tells a collector fits together."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

pytestmark = pytest.mark.usefixtures("warm_teams")

pytest.importorskip("opentelemetry.sdk")
service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

AGENTS, EPISODES, STEPS = 2, 2, 6


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A URL, and the spans that were sent there, with the name of their service."""
    got: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in service.ExportTraceServiceRequest.FromString(body).resource_spans:
                names = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
                got.extend((names[0], span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def run(team: Path, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heliograph", "run", "--bundles", str(team), "--episodes", str(EPISODES)]
    return subprocess.run([*command, "--trace", url], capture_output=True, text=True, timeout=60, check=False)


def test_all_processes_add_to_one_trace_per_episode(tmp_path: Path, collector: tuple[str, list[Any]]) -> None:
    url, got = collector
    ended = run(save_team(relay_bundles(AGENTS), tmp_path), url)
    assert ended.returncode == 0, ended.stderr
    assert len(got) == EPISODES * (1 + STEPS * (1 + AGENTS))
    spans = {span.span_id: span for _, span in got}
    assert len(spans) == len(got)
    assert len({span.trace_id for _, span in got}) == EPISODES
    for name, span in got:
        assert name == ("heliograph-node" if span.name.startswith("agent") else "heliograph-run")
        if span.name == "episode":
            assert span.parent_span_id == b""
            continue
        above = spans[span.parent_span_id]
        assert (above.name, above.trace_id) == ("episode" if span.name == "step" else "step", span.trace_id)
        # Of one clock, but how long a node took is of another, which may go a little faster.
        assert above.start_time_unix_nano - 1e6 <= span.start_time_unix_nano < span.end_time_unix_nano
        assert span.end_time_unix_nano <= above.end_time_unix_nano


def test_a_run_without_its_collector_is_a_run(tmp_path: Path) -> None:
    ended = run(save_team(relay_bundles(AGENTS), tmp_path), "http://127.0.0.1:9")
    assert ended.returncode == 0, ended.stderr
    assert "All 2 links conserve" in ended.stdout
