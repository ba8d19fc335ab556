"""`deploy/kubernetes/base`: valid by the schemas, and held together by names, labels and ports that agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph import errors

yaml = pytest.importorskip("yaml")

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"
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
    assert len(found) == 3
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
    images = {container["image"] for _, container in containers()}
    assert images == {f"registry/heliograph-{target}:tag" for target in targets}
    dockerfile = (FOLDER.parents[2] / "Dockerfile").read_text()
    assert all(f"FROM runtime AS {target}\n" in dockerfile for target in targets)


def literals(name: str) -> dict[str, str]:
    (generated,) = (one for one in KUSTOMIZATION["configMapGenerator"] if one["name"] == name)
    return dict(literal.split("=", 1) for literal in generated["literals"])


def test_settings_that_are_read_are_given() -> None:
    given = literals("settings")
    for _, container in containers():
        assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]
        own = {variable["name"] for variable in container.get("env", [])} | {"KEPT"}
        assert set(re.findall(r"\$\{?([A-Z_]+)", container["args"][0])) <= own | given.keys()
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


def test_names_are_asked_of_the_clusters_dns_and_of_the_machines_own() -> None:
    (*_, rule) = the("NetworkPolicy", "node")["spec"]["egress"]
    assert rule["ports"] == [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    # Each for itself: in one entry they would both have to hold.
    assert [set(one) for one in rule["to"]] == [{"namespaceSelector"}, {"ipBlock"}]
    assert rule["to"][1]["ipBlock"] == {"cidr": "169.254.20.10/32"}


def test_a_drained_machine_takes_one_node_at_a_time_and_any_that_does_not_serve() -> None:
    budget = the("PodDisruptionBudget", "node")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == the("StatefulSet", "node")["spec"]["selector"]


def test_one_pod_alone_mounts_a_claim_that_one_machine_alone_can_mount() -> None:
    assert the("PersistentVolumeClaim", "runs")["spec"]["accessModes"] == ["ReadWriteOnce"]
    mounting = [
        workload["metadata"]["name"]
        for workload in WORKLOADS
        if any("persistentVolumeClaim" in volume for volume in pod(workload)["volumes"])
    ]
    assert mounting == ["coordinator"]
    job = the("Job", "coordinator")["spec"]
    assert (job.get("completions", 1), job.get("parallelism", 1)) == (1, 1)
    assert job["podReplacementPolicy"] == "Failed", "the next one begins when the last one has let go"
    assert [one["name"] for one in pod(the("Job", "coordinator"))["initContainers"]] == ["trainer"]


FINAL = {
    "trainer": {errors.SettingsError, errors.WorldError, errors.TrainingError},
    "coordinator": {errors.SettingsError, errors.BundleError, errors.MessageError, errors.WorldError},
}
BELOW_THE_BAR, INTERRUPTED = 1, 130


def test_an_eviction_costs_no_try_and_what_cannot_get_better_is_not_tried_again() -> None:
    job = the("Job", "coordinator")["spec"]
    assert job["backoffLimit"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never", "or exit codes are not looked at"
    # The first rule that fits decides, and a pod that is evicted ends with a code as well.
    first, *others = job["podFailurePolicy"]["rules"]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    codes = {}
    for rule in others:
        assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailJob", "In")
        codes[rule["onExitCodes"]["containerName"]] = set(rule["onExitCodes"]["values"])
    assert codes["trainer"] == {error.exit_code for error in FINAL["trainer"]}
    assert codes["coordinator"] == {error.exit_code for error in FINAL["coordinator"]} | {BELOW_THE_BAR}
    better_next_time = {errors.TargetNotReached, errors.NetworkError, errors.NodeFailed, errors.CheckpointError}
    assert not (codes["trainer"] | codes["coordinator"]) & {*(one.exit_code for one in better_next_time), INTERRUPTED}


def test_a_job_ends_and_goes_some_day() -> None:
    job = the("Job", "coordinator")["spec"]
    assert job["activeDeadlineSeconds"] > 0
    assert job["ttlSecondsAfterFinished"] > 0
