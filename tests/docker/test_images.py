"""The images: how large, what is in them and what is not, as whom they run and where they can write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from engine import ROLES, ROOT, docker, in_image, inspect

BASE = os.environ.get("PYTHON_IMAGE", "python:3.12-slim")
MAX_NODE_BYTES = 250_000_000
PACKAGES = {
    "node": {"heliograph", "agent_node"},
    "coordinator": {"heliograph", "agent_node", "coordinator", "analysis"},
    "trainer": {"heliograph", "trainer", "analysis"},
}
SIMULATORS = {"flatland", "jax", "jaxmarl", "pettingzoo", "gymnasium", "mujoco", "pysc2", "mpe2"}
NOT_AT_EXECUTION = {"torch", "onnx", "pytest", "hypothesis", *SIMULATORS}
COMMANDS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["heliograph.commands"])

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(1800)]

LIST_INSTALLED = """
import json, pathlib, sysconfig
from importlib.metadata import distributions
site = pathlib.Path(sysconfig.get_path("purelib"))
found = {"modules": sorted(path.name.removesuffix(".py") for path in site.iterdir())}
found["versions"] = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
found["tests"] = [str(path) for name in ("test", "tests") for path in site.rglob(name) if path.is_dir()]
print(json.dumps(found))
"""


def installed(role: str) -> dict:
    return json.loads(in_image(role, "/opt/heliograph/bin/python", "-c", LIST_INSTALLED))


def commands(role: str) -> set[str]:
    return set(re.findall(r"^    (\w+)", in_image(role, "heliograph", "--help"), flags=re.MULTILINE)) & COMMANDS


def test_a_node_adds_at_most_250_megabytes_to_its_base() -> None:
    added = inspect("image", "heliograph-node")["Size"] - inspect("image", BASE)["Size"]
    assert 0 < added <= MAX_NODE_BYTES


def test_a_node_can_be_a_node_and_be_asked_after_and_nothing_else() -> None:
    assert commands("node") == {"node", "health"}


def test_the_others_have_their_commands() -> None:
    assert {"coordinator", "evaluate", "bandwidth", "health"} <= commands("coordinator")
    assert {"train", "export"} <= commands("trainer")


@pytest.mark.parametrize("role", ROLES)
def test_an_image_holds_its_houses_and_no_test_code(role: str) -> None:
    found = installed(role)
    assert {"heliograph", "agent_node", "coordinator", "analysis", "trainer"} & set(found["modules"]) == PACKAGES[role]
    assert not found["tests"]
    assert {"pytest", "hypothesis", *SIMULATORS}.isdisjoint(found["modules"])
    assert ("torch" in found["modules"]) == (role == "trainer")


def test_a_node_holds_nothing_that_only_training_needs() -> None:
    assert NOT_AT_EXECUTION.isdisjoint(installed("node")["modules"])


@pytest.mark.parametrize("role", ROLES)
def test_versions_are_the_pinned_ones(role: str) -> None:
    files = [ROOT / "constraints.txt", ROOT / "deploy" / "image-constraints.txt"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    pinned = {
        name.lower().replace("_", "-"): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    found = {
        name: version.partition("+")[0] for name, version in installed(role)["versions"].items() if name != "heliograph"
    }
    assert found == {name: pinned.get(name, "not pinned") for name in found}


@pytest.mark.parametrize("role", ROLES)
def test_nobody_is_root_and_there_is_no_compiler(role: str) -> None:
    assert int(in_image(role, "id", "-u")) > 0
    assert int(in_image(role, "id", "-g")) > 0
    assert inspect("image", f"heliograph-{role}")["Config"]["User"] == "heliograph"
    assert in_image(role, "sh", "-c", "command -v cc gcc g++ clang make || echo none") == "none\n"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_write_its_runs_and_nothing_of_its_own_program(role: str) -> None:
    writable = "find /opt -writable -not -type l -print -quit; test -w /runs && echo runs"
    assert docker("run", "--rm", "--entrypoint", "sh", f"heliograph-{role}", "-c", writable) == "runs\n"


@pytest.mark.parametrize(("role", "port"), [("node", "7200"), ("coordinator", "7100")])
def test_health_is_asked_of_the_health_service(role: str, port: str) -> None:
    check = inspect("image", f"heliograph-{role}")["Config"]["Healthcheck"]["Test"]
    assert check == ["CMD", "heliograph", "health", f"127.0.0.1:{port}"]


def test_sources_are_those_of_the_working_tree() -> None:
    program = "import hashlib, agent_node.node as n; print(hashlib.sha256(open(n.__file__, 'rb').read()).hexdigest())"
    here = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert in_image("node", "/opt/heliograph/bin/python", "-c", program) == here
