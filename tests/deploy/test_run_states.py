"""What a run folder holds is read in one place: no manifest looks for its files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("summary.json", "settings.json", "status.json")


def test_no_deployment_looks_for_the_files_of_a_run_itself() -> None:
    manifests = [*ROOT.glob("compose*.yaml"), *(path for path in (ROOT / "deploy").rglob("*") if path.is_file())]
    assert len(manifests) > 10
    assert [(path.name, name) for path in manifests for name in FILES if name in path.read_text()] == []


def test_every_deployment_trains_by_the_command_that_goes_on() -> None:
    for path in (ROOT / "compose.yaml", *(ROOT / "deploy").rglob("*.yaml")):
        text = path.read_text()
        assert text.count("heliograph train") == text.count("--resume-or-start"), path
