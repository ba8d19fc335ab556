"""Prometheus metrics of real processes: what they say, and that both ends of a link agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from relay_team import relay_bundles
from reserved_ports import reserved_address, reserved_row
from scripted_bundle import save_team

from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.metrics import CollectedLate, refused, serving_metrics

pytestmark = pytest.mark.usefixtures("warm_teams")

prometheus = pytest.importorskip("prometheus_client")
parser = pytest.importorskip("prometheus_client.parser")

DEADLINE_S = 60.0
AGENTS = 3
DAYS_LEFT = "heliograph_certificate_days_to_expiry"


class Values(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """By name and labels."""

    def of(self, name: str, /, **labels: object) -> float:
        return self.get((name, frozenset((label, str(value)) for label, value in labels.items())), 0.0)

    def labels(self, name: str) -> list[dict[str, str]]:
        return [dict(labels) for found, labels in self if found == name]


def scrape(port: int) -> Values:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE_S) as answer:
        families = parser.text_string_to_metric_families(answer.read().decode())
        return Values({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})


def scraped_until(port: int, predicate: Callable[[Values], bool]) -> Values:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            if predicate(values := scrape(port)):
                return values
        except OSError:
            pass  # it is not there yet
        time.sleep(0.05)
    raise AssertionError("the metrics never said so")


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "heliograph", *map(str, arguments), "--log-format", "json", "--log-level", "info"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)


def test_a_run_and_its_nodes_tell_of_steps_links_bundles_and_episodes(tmp_path: Path) -> None:
    folder = save_team(relay_bundles(AGENTS), tmp_path / "bundles")
    team = load_team(folder)
    command = ["run", "--bundles", folder, "--episodes", 100_000, "--channel", "erasure=0.3", "--period-s", 0.01]
    with reserved_row(AGENTS + 1) as port, running(*command, "--metrics", f"127.0.0.1:{port}"):
        run = scraped_until(port, lambda found: found.of("heliograph_run_episode_outcome_count", links="open") >= 2)
        nodes = [scrape(port + 1 + slot) for slot in range(AGENTS)]

    assert run.of("heliograph_run_nodes") == AGENTS
    assert run.of("heliograph_run_step_seconds_count") > 5
    assert run.of("heliograph_run_step_seconds_sum") > 0
    assert run.of("process_resident_memory_bytes") > 2**20
    handed_out = {labels["slot"]: labels["digest"] for labels in run.labels("heliograph_run_bundle_info")}
    assert handed_out == {str(slot): bundle.digest for slot, bundle in enumerate(team)}
    for process in (run, *nodes):
        assert process.labels(DAYS_LEFT) == [], "without a certificate there is nothing to tell"
    for slot, node in enumerate(nodes):
        (bundle,) = node.labels("heliograph_bundle_info")
        assert (bundle["slot"], bundle["digest"], bundle["environment"]) == (str(slot), team[slot].digest, "relay")
        for part in ("waited", "computed"):
            assert node.of("heliograph_node_step_seconds_count", slot=slot, part=part) > 5
        for peer in set(range(AGENTS)) - {slot}:
            assert run.of("heliograph_run_link_masked_total", sender=peer, receiver=slot) > 0
            for name in ("masked", "lost"):
                # Nodes were asked after the run, which went on meanwhile.
                seen_by_the_run = run.of(f"heliograph_run_link_{name}_total", sender=peer, receiver=slot)
                assert node.of(f"heliograph_link_{name}_total", slot=slot, peer=peer) >= seen_by_the_run
            sent = node.of("heliograph_link_sent_total", slot=slot, peer=peer)
            assert node.of("heliograph_link_sent_bytes_total", slot=slot, peer=peer) > sent > 0


def test_under_tls_a_run_and_its_nodes_tell_how_long_their_certificates_are_good_for(tmp_path: Path) -> None:
    folder, authority = save_team(relay_bundles(2), tmp_path / "bundles"), tmp_path / "certificates"
    assert main(["certificates", "init", str(authority), "--days", "9"]) == 0
    assert main(["certificates", "issue", str(authority), "--team", "2", "--days", "3"]) == 0
    command = ["run", "--bundles", folder, "--episodes", 100_000, "--period-s", 0.01, "--tls", authority]
    with reserved_row(3) as port, running(*command, "--metrics", f"127.0.0.1:{port}"):
        run = scraped_until(port, lambda found: found.of("heliograph_run_nodes") == 2)
        nodes = [scraped_until(port + 1 + slot, lambda found: bool(found.labels(DAYS_LEFT))) for slot in (0, 1)]
    for whose, found in (("coordinator", run), ("slot/0", nodes[0]), ("slot/1", nodes[1])):
        days = {
            file: found.of(DAYS_LEFT, identity=f"heliograph://{whose}", file=file) for file in ("tls.crt", "ca.crt")
        }
        assert days == {"tls.crt": pytest.approx(3, abs=0.1), "ca.crt": pytest.approx(9, abs=0.1)}
        assert len(found.labels(DAYS_LEFT)) == 2, "its own and its authority's, and nobody else's"


@pytest.mark.usefixtures("warm_commands")
def test_a_training_tells_of_steps_and_losses(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tensorboard")
    small = ("schedule.env_steps=100000", "replay.minimum=50", "threads=1", "evaluation.every=1000")
    small += ("mamba.model_updates=1", "mamba.model.hidden=16", "mamba.model.recurrent=16", "mamba.policy.epochs=1")
    overrides = [text for setting in small for text in ("--set", setting)]
    command = ["train", "--preset", "relay", "--folder", tmp_path / "run", *overrides, "--metrics", "127.0.0.1:0"]
    with running(*command) as process:
        assert process.stderr is not None
        said = (json.loads(line) for line in process.stderr)
        address = next(line["address"] for line in said if line["logger"] == "heliograph.metrics")
        found = scraped_until(
            int(address.rpartition(":")[2]), lambda found: found.of("heliograph_training_value", name="model/kl") > 0
        )
    assert found.of("heliograph_training_env_steps") >= 50
    assert found.of("heliograph_training_iterations") >= 1
    assert 0 < found.of("heliograph_training_share") < 1
    assert found.of("heliograph_training_value", name="time/update_s") > 0


def test_a_registry_is_gone_with_its_server_and_a_taken_port_is_told() -> None:
    from heliograph.errors import PortTaken, SettingsError

    with reserved_address() as address:
        for _ in range(2):
            with serving_metrics(address):
                assert scrape(int(address.rpartition(":")[2])).of("process_start_time_seconds") > 0
                with pytest.raises(PortTaken, match="cannot listen"), serving_metrics(address):
                    pass
    with pytest.raises(SettingsError, match="not host:port"), serving_metrics("here"):
        pass


def test_refusals_are_counted_by_status() -> None:
    registry = prometheus.CollectorRegistry()
    counts: dict[str, int] = {}
    CollectedLate(registry, lambda: [refused("refused", "Calls that were refused", counts)])
    assert "refused_total{" not in prometheus.generate_latest(registry).decode()
    counts |= {"UNAVAILABLE": 1, "PERMISSION_DENIED": 2}
    assert 'refused_total{status="PERMISSION_DENIED"} 2.0' in prometheus.generate_latest(registry).decode()
