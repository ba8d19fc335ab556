"""`deploy/helm/heliograph`: renders what kustomize renders, takes the values that its schema says, and no others."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_tools import said

import heliograph

yaml = pytest.importorskip("yaml")

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "heliograph"
KUBERNETES = "1.31"
OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")
VARIANTS = {
    ".": (),
    "overlays/tls-secrets": ("tls.mode=secrets",),
    "overlays/tls-cert-manager": ("tls.mode=cert-manager",),
    "metrics": ("metrics.enabled=true",),
    "metrics-and-tls": ("metrics.enabled=true", "tls.mode=secrets"),
}
"""By folder: the values that say the same."""

MADE_BY_HAND = {"Namespace", "Secret"}
"""What the chart leaves to whoever installs it; so it does the trusted key."""

Objects = dict[tuple[str, str], dict[str, Any]]
Kustomized = Callable[[str], Objects]
Chart = Callable[..., Objects]


def normalised(rendered: Objects) -> Objects:
    """Without what cannot be the same: namespaces, marks of the program that renders, and the endings of names."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(part) for key, part in value.items() if key not in OF_HELM}
        if isinstance(value, list):
            return [walk(part) for part in value]
        return re.sub("^settings-[0-9a-z]{10}$", "settings", value) if isinstance(value, str) else value

    found = {}
    for kind, name in rendered:
        one = walk(copy.deepcopy(rendered[kind, name]))
        one["metadata"].pop("namespace", None)
        one["metadata"] = {key: part for key, part in one["metadata"].items() if part != {}}
        if kind not in MADE_BY_HAND and (kind, name) != ("ConfigMap", "trusted"):
            found[kind, one["metadata"]["name"]] = one
    return found


@pytest.mark.slow
@pytest.mark.parametrize("folder", VARIANTS)
def test_the_chart_renders_what_kustomize_does(folder: str, kustomized: Kustomized, chart: Chart) -> None:
    ours, theirs = normalised(chart(*VARIANTS[folder])), normalised(kustomized(folder))
    assert ours.keys() == theirs.keys()
    assert len(ours) >= 10
    for key in theirs:
        assert ours[key] == theirs[key], key


@pytest.mark.slow
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=str)
def test_what_the_chart_renders_is_valid_by_the_schema(settings: tuple[str, ...], chart: Chart) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    for (kind, _), manifest in chart(*settings, "images.pullSecrets={mine}", "storage.class=fast").items():
        if kind not in ("Certificate", "Issuer"):
            schemas.validate(manifest, KUBERNETES, strict=True)


def test_team_size_is_one_value(chart: Chart) -> None:
    found = chart("agents=12", "tls.mode=cert-manager")
    assert found["StatefulSet", "node"]["spec"]["replicas"] == 12
    (settings,) = (one["data"] for (kind, _), one in found.items() if kind == "ConfigMap")
    assert (settings["AGENTS"], settings["RUN"]) == ("12", "/runs/relay-demo-12")
    slots = {f"slot-{slot}" for slot in range(12)}
    assert {name for kind, name in found if kind == "Certificate"} == slots | {"authority", "coordinator"}
    mounted = {volume["name"]: volume for volume in found["StatefulSet", "node"]["spec"]["template"]["spec"]["volumes"]}
    sources = mounted["team"]["projected"]["sources"]
    assert [source["secret"]["name"] for source in sources] == [f"slot-{slot}-tls" for slot in range(12)]


@pytest.mark.slow
def test_registry_resources_and_deadlines_are_values(chart: Chart) -> None:
    found = chart(
        "images.registry=mirror.example:5000/team",
        "images.tag=1.2",
        "resources.node.limits.memory=1Gi",
        "job.keptSeconds=2592000",
        "episodes=1000000",
    )
    job = found["Job", "coordinator"]["spec"]
    assert job["ttlSecondsAfterFinished"] == 2592000
    pods = [found[key]["spec"]["template"]["spec"] for key in (("Job", "coordinator"), ("StatefulSet", "node"))]
    containers = [one for pod in pods for one in (*pod.get("initContainers", ()), *pod["containers"])]
    assert [one["image"] for one in containers] == [
        f"mirror.example:5000/team/heliograph-{role}:1.2" for role in ("trainer", "coordinator", "node")
    ]
    assert containers[2]["resources"]["limits"] == {"memory": "1Gi"}
    (settings,) = (one["data"] for (kind, _), one in found.items() if kind == "ConfigMap")
    assert settings["EPISODES"] == "1000000"


def test_other_settings_are_another_map(chart: Chart) -> None:
    names = [{name for kind, name in chart(f"episodes={n}") if kind == "ConfigMap"} for n in (1, 2)]
    assert names[0].isdisjoint(names[1])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("agents=two", "agents"),
        ("agents=0", "agents"),
        ("preset=a;b", "preset"),
        ("tls.mode=plain", "mode"),
        ("images.registry=https://mirror.example", "registry"),
        ("resources.node.requests.cpu=lots", "cpu"),
        ("replicas=2", "replicas"),
        ("dns.addresses={kube-dns}", "addresses"),
    ],
)
def test_values_outside_of_the_schema_are_refused(setting: str, named: str, helm: Path) -> None:
    done = subprocess.run(
        [helm, "template", CHART, "--set", setting], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "values don't meet the specifications of the schema" in done.stderr
    assert named in done.stderr


def test_the_chart_passes_helms_own_check(helm: Path) -> None:
    assert "0 chart(s) failed" in said(helm, "lint", "--strict", CHART)


def test_every_value_is_in_the_schema_and_the_schema_is_closed() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(value: Any, part: dict[str, Any]) -> None:
        if "$ref" not in part and isinstance(value, dict):
            assert part["additionalProperties"] is False
            assert set(value) == set(part["required"])
            for key in value:
                compare(value[key], part["properties"][key])

    compare(values, schema)


def test_the_chart_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == about["version"] == heliograph.__version__
