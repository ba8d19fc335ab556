"""Every manifest gives its team a grace, and its coordinator a file to go on with; what that file is of, sh decides."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]


def coordinators() -> dict[str, str]:
    """By manifest: the script that starts the coordinator, as sh gets it."""
    found = {}
    for name in ("compose.yaml", "deploy/swarm/stack.yaml"):
        [script] = yaml.safe_load((ROOT / name).read_text())["services"]["coordinator"]["command"]
        found[name] = script.replace("$$", "$")
    for path in (ROOT / "deploy" / "kubernetes").rglob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            if not manifest or manifest.get("kind") != "Job":
                continue
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                for script in container.get("args", ()):
                    if "heliograph coordinator " in script:
                        found[str(path.relative_to(ROOT))] = script
    return found


SCRIPTS = coordinators()


def test_each_kind_of_manifest_has_a_coordinator() -> None:
    kinds = {name.split("/")[1] if "/" in name else name for name in SCRIPTS}
    assert kinds >= {"compose.yaml", "swarm", "kubernetes"}


def starts(name: str, folder: Path) -> Callable[[int], Path]:
    """The file that a coordinator of so many episodes is told to go on with, in the folder's `run`."""
    heliograph = folder / "heliograph"
    heliograph.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    heliograph.chmod(0o755)
    run, others = folder / "run", {"MINIMUM": "0", "SECURITY_OPTIONS": "--insecure"}
    run.mkdir()

    def start(episodes: int) -> Path:
        environment = {**others, "RUN": str(run), "EPISODES": str(episodes), "PATH": f"{folder}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", SCRIPTS[name]], env=environment, capture_output=True, text=True, check=True, timeout=20
        )
        said = done.stdout.splitlines()
        assert said[said.index("--rejoin-s") + 1] == "60"
        return Path(said[said.index("--resume") + 1])

    return start


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_was_cut_off_is_gone_on_with_and_what_is_over_begins_anew(name: str, tmp_path: Path) -> None:
    start, run = starts(name, tmp_path), tmp_path / "run"
    kept, result = start(100), run / "result.json"
    assert kept.parent == run
    assert start(200) != kept, "a file is of one run"
    for interrupted in (None, True, False):
        kept.write_text("episodes")
        if interrupted is not None:
            result.write_text(json.dumps({"interrupted": interrupted}, indent=2))
        assert start(100) == kept
        assert kept.exists() is (interrupted is not False)
    assert not result.exists(), "or the next one that is cut off would count as over"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_run_that_is_over_is_not_gone_on_with_after_another_that_was_cut_off(name: str, tmp_path: Path) -> None:
    start, result = starts(name, tmp_path), tmp_path / "run" / "result.json"
    over = start(100)
    over.write_text("episodes")
    result.write_text(json.dumps({"interrupted": False}))
    cut_off = start(200)
    cut_off.write_text("episodes")
    result.write_text(json.dumps({"interrupted": True}))
    start(100)
    assert not over.exists()
    assert cut_off.exists()
