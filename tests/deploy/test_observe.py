"""`deploy/observe`: files that hold together; what they ask for is held against real processes in tests/docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "observe"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "heliograph.json").read_text())
PANELS = DASHBOARD["panels"]
SERVICES = yaml.safe_load((ROOT / "compose.observe.yaml").read_text())["services"]
PROMTOOL = shutil.which("promtool")


def test_panels_have_an_id_of_their_own_and_the_provisioned_datasource() -> None:
    (datasource,) = yaml.safe_load((FOLDER / "grafana" / "datasource.yml").read_text())["datasources"]
    wanted = {"type": datasource["type"], "uid": datasource["uid"]}
    assert sorted(panel["id"] for panel in PANELS) == list(range(1, len(PANELS) + 1))
    assert all(one["datasource"] == wanted for panel in PANELS for one in [panel, *panel["targets"]])


def test_panels_do_not_overlap_and_ask_something() -> None:
    taken = [
        (x, y)
        for panel in PANELS
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(0 <= x < 24 for x, _ in taken)
    assert all(target["expr"] for panel in PANELS for target in panel["targets"])


def test_a_certificate_s_last_days_are_shown() -> None:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    assert any("heliograph_certificate_days_to_expiry" in expression for expression in asked)


def test_what_is_mounted_is_there_and_found_where_it_is_looked_for() -> None:
    mounts = [volume.split(":") for name in ("prometheus", "grafana") for volume in SERVICES[name]["volumes"]]
    files = {target: ROOT / source for source, target, *_ in mounts if source.startswith("./")}
    assert all(path.exists() for path in files.values())
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]
    assert files[provider["options"]["path"]] == FOLDER / "grafana" / "dashboards"
    (datasource,) = yaml.safe_load((FOLDER / "grafana" / "datasource.yml").read_text())["datasources"]
    assert datasource["url"] == "http://prometheus:9090"


def test_every_role_that_exposes_metrics_is_asked_at_its_port() -> None:
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    asked = {(name, found["port"]) for job in jobs for found in job["dns_sd_configs"] for name in found["names"]}
    exposing = {
        (service, int(settings["environment"]["METRICS_OPTIONS"].rpartition(":")[2]))
        for service, settings in SERVICES.items()
        if "METRICS_OPTIONS" in settings.get("environment", {})
    }
    assert asked == exposing == {("coordinator", 9100), ("node", 9100), ("trainer", 9100)}


@pytest.mark.skipif(PROMTOOL is None, reason="prometheus.yml is NOT checked: promtool is missing (Debian: prometheus)")
def test_promtool_takes_the_configuration() -> None:
    found = subprocess.run(
        [PROMTOOL, "check", "config", str(FOLDER / "prometheus.yml")], capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stdout + found.stderr
