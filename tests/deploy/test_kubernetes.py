"""`deploy/kubernetes`: valid by the schemas of Kubernetes, and held together by names, labels and ports that agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUBERNETES = "1.31"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS = [
    manifest for name in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
WORKLOADS = [manifest for manifest in MANIFESTS if manifest["kind"] in ("Job", "StatefulSet")]


def called(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def the(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for workload in WORKLOADS:
        for container in [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]:
            yield pod(workload), container


def pods_named(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=called)
def test_a_manifest_is_valid_by_the_schema(manifest: dict[str, Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    schemas.validate(manifest, KUBERNETES, strict=True)


def test_every_file_is_applied() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


def test_every_workload_is_selected_by_its_own_labels() -> None:
    for workload in WORKLOADS:
        name = workload["metadata"]["name"]
        assert workload["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": name}


def test_nobody_is_root_or_can_write_but_volumes() -> None:
    found = list(containers())
    assert len(found) == 4
    for owner, container in found:
        assert owner["securityContext"]["runAsNonRoot"] is True
        assert owner["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in owner["volumes"]}


def test_images_are_those_of_the_dockerfile() -> None:
    targets = {"node", "coordinator", "trainer"}
    assert {container["image"] for _, container in containers()} == {f"heliograph-{target}" for target in targets}
    assert {image["name"] for image in KUSTOMIZATION["images"]} == {f"heliograph-{target}" for target in targets}
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text()
    assert all(f"FROM runtime AS {target}\n" in dockerfile for target in targets)


def test_settings_that_are_read_are_given() -> None:
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in generated["literals"])
    for _, container in containers():
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"] == generated["name"]
    assert given["RUN"] == f"/runs/{given['PRESET']}-{given['AGENTS']}"
    assert the("StatefulSet", "node")["spec"]["replicas"] == int(given["AGENTS"])


def test_a_nodes_ordinal_is_its_slot_and_its_name_leads_to_it() -> None:
    nodes = the("StatefulSet", "node")
    service = the("Service", nodes["spec"]["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == nodes["spec"]["selector"]["matchLabels"]
    (container,) = pod(nodes)["containers"]
    (command,) = container["args"]
    assert "--slot ${POD##*-}" in command
    assert f"--advertise $POD.{service['metadata']['name']} " in command
    (variable,) = container["env"]
    assert variable == {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


@pytest.mark.parametrize(("kind", "name", "port"), [("StatefulSet", "node", 7200), ("Job", "coordinator", 7100)])
def test_health_is_asked_of_the_port_that_is_listened_on(kind: str, name: str, port: int) -> None:
    (container,) = pod(the(kind, name))["containers"]
    assert f"--listen 0.0.0.0:{port} " in container["args"][0]
    assert [one["containerPort"] for one in container["ports"]] == [port]
    probes = [probe for key, probe in container.items() if key.endswith("Probe")]
    assert probes
    assert all(probe["grpc"] == {"port": port} for probe in probes)


def test_a_waiting_node_is_not_killed_for_not_serving() -> None:
    (container,) = pod(the("StatefulSet", "node"))["containers"]
    assert "livenessProbe" not in container


def test_only_nodes_are_talked_to_by_nodes_and_the_coordinator_by_them() -> None:
    policies = [one["spec"] for one in MANIFESTS if one["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    node, coordinator = the("NetworkPolicy", "node")["spec"], the("NetworkPolicy", "coordinator")["spec"]
    assert node["ingress"] == [{"from": [pods_named("node")], "ports": [{"port": 7200}]}]
    assert node["egress"][:2] == [
        {"to": [pods_named("node")], "ports": [{"port": 7200}]},
        {"to": [pods_named("coordinator")], "ports": [{"port": 7100}]},
    ]
    assert coordinator["ingress"] == [{"from": [pods_named("node")], "ports": [{"port": 7100}]}]


def test_a_drained_machine_takes_one_node_at_a_time() -> None:
    budget = the("PodDisruptionBudget", "node")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == the("StatefulSet", "node")["spec"]["selector"]
