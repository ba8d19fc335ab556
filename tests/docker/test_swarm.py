"""`docker stack deploy` for real, on a swarm of one machine: a team plays over an overlay network, and loses a node."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine import ROOT, Log, Project, docker, docker_says

STACK_FILE = ROOT / "deploy" / "swarm" / "stack.yaml"
GONE_DEADLINE_S, PAUSE_S = 60.0, 0.5

pytestmark = [pytest.mark.usefixtures("first_up"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def swarm(images: None) -> Iterator[None]:
    """The engine as a swarm with the machine that has the volume, which it leaves afterwards if it was none before."""
    if json.loads(docker("info", "--format", "{{json .Swarm}}"))["LocalNodeState"] == "active":
        give_it_the_volume()
        yield
        return
    options = ("--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    said = docker_says("swarm", "init", *options)
    if "Swarm initialized" not in said:
        pytest.skip(f"docker stack deploy is NOT tested, this engine makes no swarm: {said}")
    give_it_the_volume()
    try:
        yield
    finally:
        docker("swarm", "leave", "--force")


def give_it_the_volume() -> None:
    """The label of the machine that has it, to this one."""
    machine = json.loads(docker("info", "--format", "{{json .Swarm}}"))["NodeID"]
    docker("node", "update", "--label-add", "heliograph.runs=true", machine)


@pytest.fixture
def stack(swarm: None, project: Project, slow: Path) -> Iterator[str]:
    """A stack that plays, with the bundles that the project has trained."""
    name = f"heliograph-test-{os.getpid()}"
    volumes = ["--volume", f"{project.volume('runs')}:/runs:ro", "--volume", f"{name}_runs:/keys/nodes"]
    copy = ["--entrypoint", "cp", "heliograph-coordinator", "-r", "/runs/.", "/keys/nodes"]
    docker("run", "--rm", *volumes, *copy)
    settings = {"HELIOGRAPH_PRESET": "relay-signal", "HELIOGRAPH_EPISODES": "50", "HELIOGRAPH_MINIMUM": "0.1"}
    files = ["--compose-file", str(STACK_FILE), "--compose-file", str(versioned(slow))]
    try:
        subprocess.run(["docker", "stack", "deploy", *files, name], env=os.environ | settings, check=True, timeout=60)
        yield name
    finally:
        docker("stack", "rm", name)
        of_stack = ("--filter", f"label=com.docker.stack.namespace={name}", "--quiet")
        until(lambda: not docker("ps", "--all", *of_stack) and not docker("network", "ls", *of_stack), "the end")
        docker("volume", "rm", f"{name}_runs")


def versioned(overlay: Path) -> Path:
    """Stack files say which format they are in."""
    path = overlay.with_name("stack.slow.yaml")
    path.write_text(f'version: "3.8"\n{overlay.read_text()}')
    return path


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GONE_DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(PAUSE_S)


def container_of(stack: str, task: str) -> str:
    return docker("ps", "--quiet", "--filter", f"name={stack}_{task}.").strip()


def states(stack: str) -> dict[str, list[str]]:
    """By task, newest first."""
    found: dict[str, list[str]] = {}
    for line in docker("stack", "ps", stack, "--format", "{{.Name}} {{.CurrentState}}").splitlines():
        name, state = line.split()[:2]
        found.setdefault(name.removeprefix(f"{stack}_"), []).append(state)
    return found


def test_a_team_plays_as_a_stack_and_a_killed_task_comes_back_as_the_same_slot(stack: str) -> None:
    with Log(["docker", "service", "logs", "--raw", "--follow", f"{stack}_coordinator"]) as log:
        log.until("running address")
        killed = container_of(stack, "node.2")
        docker("kill", killed)
        log.until("node left slot=1")
        log.until("node joined slot=1")
        assert container_of(stack, "node.2") != killed
        log.until("success (95 % interval)")
    until(lambda: all(newest == "Complete" for newest, *_ in states(stack).values()), "all tasks to be complete")
    assert sorted(states(stack)) == ["coordinator.1", "node.1", "node.2", "trainer.1"]
    assert states(stack)["node.2"] == ["Complete", "Failed"]
    assert states(stack)["node.1"] == ["Complete"]
