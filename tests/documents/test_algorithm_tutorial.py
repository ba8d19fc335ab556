"""The algorithm of the tutorial is whole: from the page alone it is trained, resumed, exported and run as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from documents.blocks import blocks
from documents.workplace import REPOSITORY

PAGE = "docs/tutorials/algorithm.md"
MODULES = {"class Counting(": "counting.py", "class CountingSettings(": "settings.py", "ENTRY = ": "__init__.py"}
"""What the block of each module holds."""
SMALL = (
    *("threads=1", "device=cpu", "environment.copies=4", "schedule.steps_per_iteration=8", "replay.minimum=20"),
    *("evaluation.episodes=8", "evaluation.every=2", "evaluation.final_episodes=8", "counting.hidden=16"),
)


def indented(after: str) -> str:
    """The indented block that follows the line with these words."""
    _, _, rest = (REPOSITORY / PAGE).read_text(encoding="utf-8").partition(after)
    lines = rest.partition("\n\n")[2].splitlines()
    taken = next(place for place, line in enumerate([*lines, "end"]) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:taken]))


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_the_algorithm_trains_resumes_and_runs_as_processes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    site = tmp_path / "site"
    (site / "counting").mkdir(parents=True)
    texts = [block.text for block in blocks(REPOSITORY) if block.document == PAGE]
    for words, name in MODULES.items():
        (found,) = [text for text in texts if words in text]
        (site / "counting" / name).write_text(found + "\n", encoding="utf-8")
    about = site / "counting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    entry = indented("says where the entry is:").splitlines()
    assert entry[0] == '[project.entry-points."heliograph.algorithms"]'
    (about / "entry_points.txt").write_text("[heliograph.algorithms]\n" + entry[1].replace('"', "") + "\n")
    (tmp_path / "counting.toml").write_text(indented("takes the world and the schedule"), encoding="utf-8")
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
    heliograph("train", "--preset", "counting.toml", "--folder", "runs/counting", *small)
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
    heliograph("run", "--bundles", "runs/counting/bundles", "--links", "both", "--episodes", 2)
    heliograph("evaluate", "runs/counting", "--central", "--episodes", 2)
