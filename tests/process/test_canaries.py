"""Files of others run no code: every command meets every kind of file that it reads, with a canary in it.

The completeness check keeps the table: a new command is tried here, or is listed with the reason why it need not be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from canary_files import MODULE, SYSTEM, HostileFiles, make_hostile_files, write_trace

from heliograph.cli import COMMAND_GROUP, main

REFUSED = 5
"""EnvironmentUntrusted."""

REFUSING = {
    "evaluate": ["bundles"],
    "evaluate, several": ["bundles", "harmless"],
    "evaluate, side by side": ["bundles", "--jobs", "2"],
    "evaluate, a run folder": ["run"],
    "evaluate, the networks": ["networks", "--central"],
    "evaluate, a search": ["networks", "--search"],
    "evaluate, every checkpoint": ["run", "--checkpoints", "all"],
    "evaluate, a reference": ["bundles", "--reference", "random"],
    "run": ["--bundles", "bundles"],
    "run, a run folder": ["--bundles", "run"],
    "run, resumed": ["--bundles", "bundles", "--resume", "logbook.jsonl"],
    "coordinator": ["--bundles", "bundles", "--listen", "127.0.0.1:0"],
    "coordinator, a run folder": ["--bundles", "run", "--listen", "127.0.0.1:0"],
    "coordinator, following": ["--follow", "run", "--listen", "127.0.0.1:0"],
    "audit": ["bundles"],
    "audit, a run folder": ["run", "--central"],
    "card": ["bundles", "--evaluate"],
    "card, of a run folder": ["run", "--evaluate"],
    "bandwidth": ["bundles", "--local"],
    "bandwidth, a sweep": ["bundles", "--local", "--sweep", "--out", "sweep", "--resume"],
    "train, resumed": ["--resume", "run"],
    "train, a preset": ["--preset", "preset.toml", "--folder", "mine"],
    "train, a dry run": ["--preset", "preset.toml", "--dry-run"],
    "campaign": ["campaign.toml"],
    "campaign, a dry run": ["campaign.toml", "--dry-run"],
    "campaign, a report": ["report", "campaign.toml"],
    "campaign, tuned": ["tune", "campaign.toml"],
    "campaign, one run": ["work", "campaign.toml", "--run", "theirs/theirs/seed-0"],
    "demo": ["--preset", "preset.toml", "--folder", "mine"],
    "export": ["run"],
    "dream": ["run"],
}
"""What names the environment is asked for its flag, and nothing is run or written."""

HARMLESS = {
    "compare": ["run", "results.json"],
    "bandwidth, recost": ["recost", "trace.jsonl.gz", "--codec", "repeats"],
    "bandwidth, language": ["language", "trace.jsonl.gz"],
    "bandwidth, language of a team": ["language", "trace.jsonl.gz", "--bundles", "harmless"],
    "bandwidth, an audit": ["harmless", "--local", "--episodes", "1", "--audit", "audit.json"],
    "bundle, inspected": ["inspect", "bundles"],
    "bundle, of a run folder": ["inspect", "run", "--json"],
    "bundle, verified": ["verify", "bundles"],
    "card, of figures of others": ["bundles", "--report", "audit.json"],
    "push": ["bundles", "theirs/team"],
    "evaluate, results": ["harmless", "--marl-eval", "results.json", "--episodes", "1"],
    "run, a logbook": ["--bundles", "harmless", "--episodes", "1", "--resume", "logbook.jsonl"],
}
"""What makes no environment of what it reads: it works, or says why not, and in either case runs nothing."""

READ_NO_SUCH_FILE = {
    "environments": "its environment is named in the command",
    "doctor": "looks at this installation",
    "pull": "asks a hub, whose answers tests/heliograph/test_hub.py has",
    "health": "asks a server how it is",
    "certificates": "reads keys and certificates",
    "watch": "opens the page of a run",
    "node": "its bundle is a graph and tables; it may not import environments, which tests/test_layout.py holds",
}


@pytest.fixture(params=[SYSTEM, MODULE], ids=["os.system", "module"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileFiles]:
    """The files, in the current folder; what the test imports of it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield make_hostile_files(tmp_path, request.param)
    sys.modules.pop("canary_module", None)


def told(case: str, arguments: list[str], *more: str) -> int:
    """The exit code of a command in this process."""
    return main([case.partition(",")[0], *arguments, *more])


def test_every_command_is_tried_or_listed() -> None:
    tried = {case.partition(",")[0] for case in (*REFUSING, *HARMLESS)}
    commands = {entry.name for entry in entry_points(group=COMMAND_GROUP)}
    assert tried | READ_NO_SUCH_FILE.keys() == commands
    assert not tried & READ_NO_SUCH_FILE.keys()


@pytest.mark.parametrize("case", REFUSING)
def test_code_that_a_file_names_is_not_run(files: HostileFiles, capfd: pytest.CaptureFixture[str], case: str) -> None:
    before = sorted(files.folder.rglob("*"))
    assert told(case, REFUSING[case]) == REFUSED
    assert not files.canary.exists()
    assert str(files.folder) not in sys.path
    said = capfd.readouterr().err.splitlines()[-1]
    assert f"names the environment {files.environment!r}, which is code and not of the catalogue" in said
    assert f"--allow-environment {files.environment}" in said
    assert sorted(files.folder.rglob("*")) == before, "nothing is written either"


@pytest.mark.parametrize("case", HARMLESS)
def test_what_makes_no_environment_runs_nothing(
    files: HostileFiles, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    write_trace(files)
    assert told(case, HARMLESS[case]) in (0, 2)
    assert not files.canary.exists()
    assert str(files.folder) not in sys.path
    assert "Traceback" not in capfd.readouterr().err
