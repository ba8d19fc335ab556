"""What the containers of the TLS overlay run, run here as processes: training, signature, coordinator, two nodes.

No cluster: volumes are folders, laid out as the kubelet would, and addresses are of this machine.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from folder_contents import contents
from reserved_ports import reserved_address

SMALL = {
    "environment.copies": 4,
    "schedule.env_steps": 24,
    "schedule.stop_at_outcome": 2.0,
    "evaluation.final_episodes": 8,
    "evaluation.episodes": 8,
    "replay.batch": 4,
    "replay.minimum": 10,
    "mamba.model_updates": 1,
    "mamba.policy.epochs": 1,
}
OUT_OF_REACH = "1.5"
DEADLINE_S = 300.0

Objects = dict[tuple[str, str], dict[str, Any]]


class Pod:
    """One pod of the overlay: its folders, and its containers' commands with addresses of this machine."""

    def __init__(self, rendered: Objects, kind: str, name: str, *, called: str, folder: Path, coordinator: str) -> None:
        self.spec = rendered[kind, name]["spec"]["template"]["spec"]
        self._rendered, self._called, self._folder = rendered, called, folder
        (settings,) = (one["data"] for key, one in rendered.items() if key[1].startswith("settings-"))
        small = " ".join(f"--set {key}={value}" for key, value in SMALL.items())
        chosen = {"PRESET": f"relay-signal {small}", "EPISODES": "2", "MINIMUM": OUT_OF_REACH, "POD": called}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = os.environ | settings | chosen | {"PATH": path}
        self._addresses = {
            "0.0.0.0:7100": coordinator,
            "127.0.0.1:7100": coordinator,
            "coordinator:7100": coordinator,
            "0.0.0.0:7200": "127.0.0.1:0",
            "$POD.nodes": "127.0.0.1",
        }

    def start(self, container: dict[str, Any], command: list[str] | None = None) -> subprocess.Popen[str]:
        command = command or [*container["command"], *container.get("args", ())]
        replaced = self._addresses | self._mounted(container)
        environment = {key: _replaced(value, replaced) for key, value in self._environment.items()}
        return subprocess.Popen(
            [_replaced(word, replaced) for word in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _mounted(self, container: dict[str, Any]) -> dict[str, str]:
        """By path in the container: the folder that stands for it.  What is not mounted is nowhere."""
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        found = {}
        for mount in container["volumeMounts"]:
            if mount["name"] == "tmp":
                continue
            folder = self._folder / mount["name"]
            folder.mkdir(exist_ok=True)
            self._fill(volumes[mount["name"]], folder)
            below = mount.get("subPathExpr", "").replace("$(POD)", self._called)
            found[mount["mountPath"]] = str(folder / below)
        return found

    def _fill(self, volume: dict[str, Any], folder: Path) -> None:
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            if "configMap" in source:
                for key, text in self._rendered["ConfigMap", source["configMap"]["name"]]["data"].items():
                    (folder / key).write_text(text)
            if "secret" in source:
                secret = source["secret"]
                data = self._rendered["Secret", secret.get("name") or secret["secretName"]]["data"]
                for item in secret.get("items", [{"key": key, "path": key} for key in data]):
                    (folder / item["path"]).parent.mkdir(exist_ok=True)
                    (folder / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))


def _replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def prepared(job: Pod, bundles: Path) -> dict[Path, bytes]:
    """What is in the bundles once all that comes before the coordinator has ended well."""
    for container in job.spec["initContainers"]:
        with ended(job.start(container)) as process:
            text, _ = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0, text
    return contents(bundles)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands", "warm_teams")
def test_the_overlays_containers_are_a_team_under_tls_with_signed_bundles(
    kustomized: Callable[[str], Objects], tmp_path: Path
) -> None:
    rendered = kustomized("overlays/tls-secrets")
    with reserved_address() as address, ExitStack() as running:

        def pod(kind: str, name: str, called: str) -> Pod:
            return Pod(rendered, kind, name, called=called, folder=tmp_path, coordinator=address)

        job = pod("Job", "coordinator", "coordinator-x")
        bundles = tmp_path / "runs" / "relay-demo-2" / "bundles"
        first = prepared(job, bundles)
        # A pod that takes another's place prepares again; were its bundles others, no episode could be gone on with.
        assert prepared(job, bundles) == first
        assert Path("agent-0", "manifest.sig") in first

        (container,) = job.spec["containers"]
        coordinator = running.enter_context(ended(job.start(container)))
        probe = [*container["readinessProbe"]["exec"]["command"], "--wait", "120"]
        with ended(job.start(container, probe)) as asked:
            text, _ = asked.communicate(timeout=DEADLINE_S)
            assert text == "SERVING\n"

        nodes = []
        for slot in range(2):
            node = pod("StatefulSet", "node", f"node-{slot}")
            nodes.append(running.enter_context(ended(node.start(node.spec["containers"][0]))))
        text, _ = coordinator.communicate(timeout=DEADLINE_S)
        assert "All 2 links conserve: every message sent was received." in text, text
        assert "plaintext" not in text
        for process in nodes:
            said, _ = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0, said
        # Below the bar, which no other try can mend.
        rules = rendered["Job", "coordinator"]["spec"]["podFailurePolicy"]["rules"]
        (final,) = (rule for rule in rules if rule.get("onExitCodes", {}).get("containerName") == "coordinator")
        assert (final["action"], coordinator.returncode) == ("FailJob", 1)
        assert coordinator.returncode in final["onExitCodes"]["values"]
