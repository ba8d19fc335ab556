"""`compose.observe.yaml` for real, as far as images can be had: what processes expose, and what Prometheus makes of it.

Prometheus' own image comes from a hub; where there is none, a `prometheus` program on this machine is put into one.
Grafana is not started: its dashboard is held against what Prometheus answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import ROOT, Log, Project, docker

FOLDER = ROOT / "deploy" / "observe"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "heliograph.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
NAME = re.compile(r"\b(?:heliograph|process)_\w+")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
OF_TRAINING = "heliograph_training_"
OF_CERTIFICATES = "heliograph_certificate_"
REFUSED = ("heliograph_run_refused_total", "heliograph_node_refused_total")
PROGRAM = shutil.which("prometheus")
ANSWER_DEADLINE_S, PAUSE_S = 40.0, 0.5

pytestmark = [pytest.mark.usefixtures("first_up"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def observed(project: Project, slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A team that plays, and Prometheus if there is one."""
    images = {"PROMETHEUS_IMAGE": "heliograph-node", "GRAFANA_IMAGE": "heliograph-node", "PROMETHEUS_PORT": "0"}
    if PROGRAM is not None:
        images["PROMETHEUS_IMAGE"] = prometheus_image(tmp_path_factory.mktemp("prometheus"), PROGRAM)
    observed = project.with_overlay(ROOT / "compose.observe.yaml", slow)
    command = observed.command("up", "--no-build", "--scale", "grafana=0")
    command += [] if PROGRAM is not None else ["--scale", "prometheus=0"]
    with Log(command, environment=observed.environment({"episodes": 1000}) | images) as up:
        up.until("running address")
        yield observed
        observed.compose("stop", "--timeout", "5", "coordinator", "prometheus")
        up.process.wait(60)


def prometheus_image(folder: Path, program: str) -> str:
    """As the official one is: the program as entry point, a folder for its data, not root."""
    shutil.copy(program, folder / "prometheus")
    lines = [
        f"FROM {os.environ.get('PYTHON_IMAGE', 'python:3.12-slim')}",
        "COPY prometheus /bin/",
        "RUN install --directory --owner nobody /prometheus",
        "USER nobody",
        'ENTRYPOINT ["/bin/prometheus"]',
    ]
    (folder / "Dockerfile").write_text("\n".join(lines))
    docker("build", "--quiet", "--tag", "heliograph-test-prometheus", str(folder), timeout_s=120)
    return "heliograph-test-prometheus"


def page(project: Project, url: str) -> str:
    """Asked from inside the project's network."""
    program = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=10).read().decode())"
    return docker("exec", project.container("coordinator"), "/opt/heliograph/bin/python", "-c", program)


def exposed(metrics: str) -> set[str]:
    """Names of samples, also of those of which there is none yet."""
    types = re.findall(r"^# TYPE (\w+) (\w+)", metrics, flags=re.MULTILINE)
    return {name + suffix for name, kind in types for suffix in SUFFIXES.get(kind, ("",))}


def test_every_name_of_the_dashboard_is_exposed(observed: Project) -> None:
    found = {
        name for role in ("coordinator", "node") for name in exposed(page(observed, f"http://{role}:9100/metrics"))
    }
    asked = {name for expression in EXPRESSIONS for name in NAME.findall(expression)}
    # The trainer has nothing left to do here, and nobody a certificate; what they expose is tested where it is.
    assert {name for name in asked - found if not name.startswith((OF_TRAINING, OF_CERTIFICATES))} == set()


@pytest.mark.skipif(PROGRAM is None, reason="what Prometheus scrapes is NOT tested: install it (Debian: prometheus)")
def test_prometheus_finds_every_process_and_answers_what_the_dashboard_asks(observed: Project) -> None:
    def answers(expression: str) -> list[dict]:
        query = urllib.parse.quote(expression.replace("$__rate_interval", "10s"))
        return json.loads(page(observed, f"http://prometheus:9090/api/v1/query?query={query}"))["data"]["result"]

    open_questions = [
        expression
        for expression in EXPRESSIONS
        if not any(name in expression for name in (OF_TRAINING, OF_CERTIFICATES, *REFUSED))
    ]
    deadline = time.monotonic() + ANSWER_DEADLINE_S
    while open_questions := [one for one in open_questions if not answers(one)]:
        assert time.monotonic() < deadline, f"no answer to {open_questions}"
        time.sleep(PAUSE_S)
    up = {(one["metric"]["job"], one["value"][1]) for one in answers("count by (job) (up == 1)")}
    assert up == {("coordinator", "1"), ("node", "2")}
    links = {(one["metric"]["slot"], one["metric"]["peer"]) for one in answers("heliograph_link_sent_bytes_total")}
    assert links == {("0", "1"), ("1", "0")}
