"""`deploy/swarm/stack.yaml`: who mounts the volume is where it is, and traffic between machines is encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

STACK = Path(__file__).parents[2] / "deploy" / "swarm" / "stack.yaml"
SERVICES = yaml.safe_load(STACK.read_text())["services"]
LABELLED = "node.labels.heliograph.runs == true"


def test_who_mounts_the_volume_runs_on_the_one_labelled_machine() -> None:
    mounting = {name for name, service in SERVICES.items() if service.get("volumes")}
    assert mounting == {"trainer", "coordinator"}
    for name in mounting:
        assert SERVICES[name]["deploy"]["placement"]["constraints"] == [LABELLED]
    assert "placement" not in SERVICES["node"]["deploy"]


@pytest.mark.parametrize("document", [STACK, STACK.parents[2] / "docs" / "deploy.md"], ids=lambda path: path.name)
def test_the_label_is_told_of(document: Path) -> None:
    assert f"docker node update --label-add {LABELLED.split('.', 2)[2].replace(' == ', '=')} " in document.read_text()


def test_the_network_is_encrypted() -> None:
    (network,) = yaml.safe_load(STACK.read_text())["networks"].values()
    assert network == {"driver": "overlay", "driver_opts": {"encrypted": "true"}}
