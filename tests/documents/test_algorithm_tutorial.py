"""The algorithm of the tutorial is whole: from the page alone it is trained, resumed, exported and run as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from documents.blocks import blocks
from documents.workplace import REPOSITORY

PAGE = "docs/tutorials/algorithm.md"
BLOCKS = [block for block in blocks(REPOSITORY) if block.document == PAGE]
MODULES = {"class Counting(": "counting.py", "class CountingSettings(": "settings.py", "ENTRY = ": "__init__.py"}
"""What the block of each module holds."""
SMALL = (
    *("threads=1", "device=cpu", "environment.copies=4", "schedule.steps_per_iteration=8", "replay.minimum=20"),
    *("evaluation.episodes=8", "evaluation.every=2", "evaluation.final_episodes=8", "counting.hidden=16"),
)


def block_with(words: str) -> str:
    """The only block of the page in which they stand."""
    (found,) = (block.text for block in BLOCKS if words in block.text)
    return found


def command(text: str, *more: object) -> list[str]:
    """The words after `heliograph` of a command that the page prints, and what makes it smaller."""
    assert text in [command for block in BLOCKS for command in block.commands]
    return [*text.split()[1:], *map(str, more)]


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_the_algorithm_trains_resumes_and_runs_as_processes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    site = tmp_path / "site"
    (site / "counting").mkdir(parents=True)
    for words, name in MODULES.items():
        (site / "counting" / name).write_text(block_with(words) + "\n", encoding="utf-8")
    about = site / "counting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    _, *entry = block_with('[project.entry-points."heliograph.algorithms"]').splitlines()
    (about / "entry_points.txt").write_text("[heliograph.algorithms]\n" + entry[0].replace('"', "") + "\n")
    (tmp_path / "counting.toml").write_text(block_with('algorithm = "counting"'), encoding="utf-8")
    paths = os.pathsep.join([str(site), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])

    def heliograph(*words: object) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "heliograph", *map(str, words)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    small = [part for each in (*SMALL, "schedule.env_steps=192") for part in ("--set", each)]
    heliograph(*command("heliograph train --preset counting.toml --folder runs/counting", *small))
    run = tmp_path / "runs" / "counting"
    assert json.loads((run / "settings.json").read_text())["counting"]["bonus"] == 0.1
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    places = [record["counting/places"] for record in records if "counting/places" in record]
    assert places[-1] > 1
    heliograph("train", "--resume", "runs/counting", "--set", "schedule.env_steps=384")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    resumed = [record["counting/places"] for record in records if "counting/places" in record]
    assert len(resumed) > len(places)
    assert resumed[len(places)] >= places[-1], "a resumed run forgot what it counted"
    heliograph(*command("heliograph run --bundles runs/counting/bundles --links both", "--episodes", 2))
    heliograph("evaluate", "runs/counting", "--central", "--episodes", 2)
