"""Overlays and components of `deploy/kubernetes`, rendered: keys reach whose they are, probes and images follow."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cert_manager import schema_of
from cluster_tools import objects, said
from cryptography import x509

from heliograph import errors
from heliograph.certificates.authority import Authority
from heliograph.certificates.folder import team
from heliograph.certificates.identity import COORDINATOR, Identity
from heliograph.certificates.signing_keys import read_signing_key, read_trusted_key
from heliograph.tls import Tls

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.31"
TLS_OVERLAYS = ("overlays/tls-secrets", "overlays/tls-cert-manager")
SIZE = 2

Objects = dict[tuple[str, str], dict[str, Any]]
Kustomized = Callable[[str], Objects]


def pod_of(rendered: Objects, kind: str, name: str) -> dict[str, Any]:
    return rendered[kind, name]["spec"]["template"]["spec"]


def containers(rendered: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, name in (("Job", "coordinator"), ("StatefulSet", "node")):
        pod = pod_of(rendered, kind, name)
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield container["name"], container


def laid_out(rendered: Objects, pod: dict[str, Any], volume: str, folder: Path) -> Path:
    """The files of a volume of secrets, as the kubelet would lay them out."""
    (found,) = (one for one in pod["volumes"] if one["name"] == volume)
    sources = found["projected"]["sources"] if "projected" in found else [{"secret": found["secret"]}]
    for source in (one["secret"] for one in sources):
        data = rendered["Secret", source.get("name") or source["secretName"]]["data"]
        items = source.get("items", [{"key": key, "path": key} for key in data])
        for item in items:
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(data[item["key"]]))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("overlay", [".", *TLS_OVERLAYS])
def test_what_is_rendered_is_valid_by_the_schema(overlay: str, kustomized: Kustomized) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    for manifest in kustomized(overlay).values():
        if manifest["apiVersion"] == "cert-manager.io/v1":
            pytest.importorskip("jsonschema").validate(manifest, schema_of(manifest["kind"]))
        else:
            schemas.validate(manifest, KUBERNETES, strict=True)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "heliograph"
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "heliograph"


def test_each_process_finds_its_own_certificate_and_no_other(kustomized: Kustomized, tmp_path: Path) -> None:
    rendered = kustomized("overlays/tls-secrets")
    pod = pod_of(rendered, "Job", "coordinator")
    assert Tls(laid_out(rendered, pod, "own", tmp_path / "coordinator")).identity == COORDINATOR

    pod = pod_of(rendered, "StatefulSet", "node")
    (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "team")
    assert mount["subPathExpr"] == "$(POD)"
    folder = laid_out(rendered, pod, "team", tmp_path / "team")
    assert {path.name for path in folder.iterdir()} == {f"node-{slot}" for slot in range(SIZE)}
    for slot in range(SIZE):
        assert Tls(folder / f"node-{slot}").identity == Identity(slot=slot)
        assert {path.name for path in (folder / f"node-{slot}").iterdir()} == {"ca.crt", "tls.crt", "tls.key"}


@pytest.mark.parametrize("overlay", TLS_OVERLAYS)
def test_the_key_that_signs_is_mounted_where_bundles_are_signed_alone(
    overlay: str, kustomized: Kustomized, tmp_path: Path
) -> None:
    rendered = kustomized(overlay)
    mounts = {name: {one["name"] for one in container["volumeMounts"]} for name, container in containers(rendered)}
    assert {name for name, mounted in mounts.items() if "signing" in mounted} == {"signature"}
    assert {name for name, mounted in mounts.items() if "trusted" in mounted} == {"coordinator", "node"}
    (rule,) = (
        rule["onExitCodes"]
        for rule in rendered["Job", "coordinator"]["spec"]["podFailurePolicy"]["rules"]
        if rule.get("onExitCodes", {}).get("containerName") == "signature"
    )
    assert rule["values"] == [errors.SettingsError.exit_code, errors.BundleError.exit_code]
    order = [one["name"] for one in pod_of(rendered, "Job", "coordinator")["initContainers"]]
    assert order == ["trainer", "signature"]
    signing = laid_out(rendered, pod_of(rendered, "Job", "coordinator"), "signing", tmp_path / "signing")
    assert read_signing_key(signing / "bundles")
    (tmp_path / "bundles.pub").write_text(rendered["ConfigMap", "trusted"]["data"]["bundles.pub"])
    assert read_trusted_key(tmp_path / "bundles.pub")


@pytest.mark.parametrize("overlay", TLS_OVERLAYS)
def test_what_the_chart_wants_to_find_has_a_label_of_its_own(overlay: str, kustomized: Kustomized) -> None:
    rendered = kustomized(overlay)
    components = {key: one["metadata"]["labels"].get("app.kubernetes.io/component") for key, one in rendered.items()}
    keys = {key for key, component in components.items() if component == "keys"}
    assert keys == {key for key in rendered if key[0] == "Secret"} | {("ConfigMap", "trusted")}
    assert "-l app.kubernetes.io/component=keys " in (ROOT / "docs" / "deploy.md").read_text()


@pytest.mark.parametrize("overlay", TLS_OVERLAYS)
def test_nothing_is_in_plaintext_and_health_is_asked_with_a_certificate(overlay: str, kustomized: Kustomized) -> None:
    rendered = kustomized(overlay)
    (settings,) = (
        one["data"] for (kind, name), one in rendered.items() if kind == "ConfigMap" and name.startswith("settings")
    )
    assert settings["SECURITY_OPTIONS"] == "--tls /keys/own --trusted-key /keys/trusted/bundles.pub"
    assert "--insecure" not in str(rendered)
    asked = 0
    for name, container in containers(rendered):
        port = {"coordinator": 7100, "node": 7200}.get(name)
        for probe in (probe for key, probe in container.items() if key.endswith("Probe")):
            assert probe["exec"]["command"] == ["heliograph", "health", f"127.0.0.1:{port}", "--tls", "/keys/own"]
            assert probe["timeoutSeconds"] > 1, "a process has to start"
            asked += 1
    assert asked == 4


def test_cert_manager_issues_what_the_team_would_issue_itself(kustomized: Kustomized) -> None:
    rendered = kustomized("overlays/tls-cert-manager")
    authority = Authority.make(days=1)
    mounted = str([pod_of(rendered, *key)["volumes"] for key in (("Job", "coordinator"), ("StatefulSet", "node"))])
    for identity in team(SIZE):
        spec = rendered["Certificate", identity.name]["spec"]
        own = x509.load_pem_x509_certificate(authority.issue(identity, days=1).certificate)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert spec["uris"] == names.get_values_for_type(x509.UniformResourceIdentifier)
        assert spec["dnsNames"] == names.get_values_for_type(x509.DNSName)
        assert {"digital signature", "client auth", "server auth"} == set(spec["usages"])
        assert f"'{spec['secretName']}'" in mounted
        issuer = rendered["Issuer", spec["issuerRef"]["name"]]
        assert issuer["spec"]["ca"]["secretName"] == rendered["Certificate", "authority"]["spec"]["secretName"]
    assert rendered["Certificate", "authority"]["spec"]["isCA"] is True
    assert rendered["Issuer", rendered["Certificate", "authority"]["spec"]["issuerRef"]["name"]]["spec"] == {
        "selfSigned": {}
    }


@pytest.mark.parametrize("overlay", [".", "overlays/tls-cert-manager"])
def test_the_registry_is_one_line(overlay: str, kustomizations: Path, kubectl: Path, tmp_path: Path) -> None:
    own = shutil.copytree(kustomizations, tmp_path / "kubernetes")
    base = own / "base" / "kustomization.yaml"
    changed = base.read_text().replace("REGISTRY=docker.io/library", "REGISTRY=mirror.example:5000/team")
    base.write_text(changed.replace("TAG=latest", "TAG=1.2"))
    rendered = objects(said(kubectl, "kustomize", own / overlay))
    roles = {"signature": "trainer"}
    found = {name: container["image"] for name, container in containers(rendered)}
    assert found == {name: f"mirror.example:5000/team/heliograph-{roles.get(name, name)}:1.2" for name in found}
    assert not any("images" in name for kind, name in rendered if kind == "ConfigMap"), "no pod reads it"


def test_without_a_registry_images_are_those_that_machines_have(kustomized: Kustomized) -> None:
    assert {container["image"] for _, container in containers(kustomized("."))} == {
        f"docker.io/library/heliograph-{role}:latest" for role in ("trainer", "coordinator", "node")
    }
