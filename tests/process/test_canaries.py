"""Files of others run no code: every command meets every kind of file that it reads, with a canary in it.

The completeness check keeps the table: a new command, or subcommand, is tried here, or is listed with the reason why it
need not be.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from canary_files import MODULE, SMALL, SYSTEM, HostileFiles, make_hostile_files, write_trace
from command_names import command_name, command_names
from foreign_policies import mlp

from heliograph.certificates.signing_keys import make_signing_key
from heliograph.cli import main
from heliograph.environments import registry

RELAY = registry.make("relay", count=1, parameters={"agents": 2}).spec
REFUSED, NO_CHECKPOINT = 5, 9
"""EnvironmentUntrusted, CheckpointError."""
OWN_TRAINING = ["--preset", "relay-signal", *(word for text in SMALL for word in ("--set", text))]
"""All that the user names of it is of the catalogue."""

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
    "train, resumed or started": [*OWN_TRAINING, "--folder", "run", "--resume-or-start"],
    "train, a dry run": ["--preset", "preset.toml", "--dry-run"],
    "campaign": ["campaign.toml"],
    "campaign, a dry run": ["campaign.toml", "--dry-run"],
    "campaign, rendered": ["render", "campaign.toml", "--image", "theirs", "--claim", "theirs"],
    "campaign, a report": ["report", "campaign.toml"],
    "campaign, tuned": ["tune", "campaign.toml"],
    "campaign, one run": ["work", "campaign.toml", "--run", "theirs/theirs/seed-0"],
    "demo": ["--preset", "preset.toml", "--folder", "mine"],
    "export": ["run"],
    "dream": ["run"],
}
"""What names the environment is asked for its flag, and nothing is run or written."""

REFUSING_CHILDREN = {
    "train, many seeds": [*OWN_TRAINING, "--folder", "seeds", "--seeds", "0"],
    "demo, a folder": ["--folder", "run"],
    "demo, a finished folder": ["--folder", "finished"],
}
"""The same, but that it is a process of the command which meets the files first."""

HARMLESS = {
    "compare": ["run", "results.json"],
    "bandwidth, recost": ["recost", "trace.jsonl.gz", "--codec", "repeats"],
    "bandwidth, language": ["language", "trace.jsonl.gz"],
    "bandwidth, language of a team": ["language", "trace.jsonl.gz", "--bundles", "harmless"],
    "bandwidth, an audit": ["harmless", "--local", "--episodes", "1", "--audit", "audit.json"],
    "bundle, inspected": ["inspect", "bundles"],
    "bundle, of a run folder": ["inspect", "run", "--json"],
    "bundle, verified": ["verify", "bundles"],
    "bundle, signed": ["sign", "bundles", "--key", "signing.key"],
    "bundle, a run folder signed": ["sign", "run", "--key", "signing.key"],
    "bundle, packed": [
        *("pack", "policy.onnx", "--environment", "relay", "--parameter", "agents=2", "--to", "packed"),
        *("--observation", "obs", "--logits", "logits"),
    ],
    "card, of figures of others": ["bundles", "--report", "audit.json"],
    "push": ["bundles", "theirs/team"],
    "evaluate, results": ["harmless", "--marl-eval", "results.json", "--episodes", "1"],
    "run, a logbook": ["--bundles", "harmless", "--episodes", "1", "--resume", "logbook.jsonl"],
    "train, from networks": [*OWN_TRAINING, "--folder", "mine", "--init-from", "run"],
    "train, of a finished folder": [*OWN_TRAINING, "--folder", "finished", "--resume-or-start"],
    "health, of a finished run": ["--run", "finished"],
}
"""What makes no environment of what it reads: it works, or says why not, and in either case runs nothing."""

READ_NO_SUCH_FILE = {
    "environments": "its environment is named in the command",
    "doctor": "looks at this installation",
    "pull": "asks a hub, whose answers tests/heliograph/test_hub.py has",
    "certificates init": "reads nothing, and writes a key and a certificate",
    "certificates issue": "reads keys and certificates",
    "certificates signing-key": "reads nothing, and writes keys",
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


def test_every_command_is_tried_or_listed(files: HostileFiles) -> None:
    """In the folder of the files, as parsers look whether what they are to write can be written."""
    cases = [*REFUSING.items(), *REFUSING_CHILDREN.items(), *HARMLESS.items()]
    tried = {command_name([case.partition(",")[0], *arguments]) for case, arguments in cases}
    assert tried | READ_NO_SUCH_FILE.keys() == command_names()
    assert not tried & READ_NO_SUCH_FILE.keys()


@pytest.mark.parametrize("case", REFUSING)
def test_code_that_a_file_names_is_not_run(files: HostileFiles, capfd: pytest.CaptureFixture[str], case: str) -> None:
    before = sorted(files.folder.rglob("*"))
    assert told(case, REFUSING[case]) == REFUSED
    assert not files.canary.exists()
    assert str(files.folder) not in sys.path
    assert_asked_for_the_flag(files, capfd.readouterr().err)
    assert sorted(files.folder.rglob("*")) == before, "nothing is written either"


def assert_asked_for_the_flag(files: HostileFiles, told: str) -> None:
    """As the last that is told."""
    said = told.splitlines()[-1]
    assert f"names the environment {files.environment!r}, which is code and not of the catalogue" in said
    assert f"--allow-environment {files.environment}" in said


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
@pytest.mark.parametrize("case", REFUSING_CHILDREN)
def test_nor_does_a_process_of_the_command_run_it(
    files: HostileFiles, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    seeds = files.folder / "seeds"
    (files.folder / "seeds").mkdir()
    shutil.copytree(files.folder / "run", seeds / "seed-0")
    before = sorted(files.folder.rglob("*"))
    assert told(case, REFUSING_CHILDREN[case]) == REFUSED
    assert not files.canary.exists()
    assert_asked_for_the_flag(files, capfd.readouterr().err)
    assert {*files.folder.rglob("*")} - {*before} <= {seeds / "seed-0.log"}


def write_policy(files: HostileFiles) -> None:
    """A graph that fits the relay task, and names another world where exporters write what they know."""
    policy = onnx.load_from_string(mlp(RELAY.observation_size, {"logits": RELAY.actions}))
    policy.doc_string = files.environment
    for name, value in {"environment": files.environment, **files.parameters}.items():
        policy.metadata_props.add(key=name, value=value)
    (files.folder / "policy.onnx").write_bytes(policy.SerializeToString())


@pytest.mark.parametrize("case", HARMLESS)
def test_what_makes_no_environment_runs_nothing(
    files: HostileFiles, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    write_trace(files)
    make_signing_key(files.folder / "signing.key")
    write_policy(files)
    assert told(case, HARMLESS[case]) in (0, 2, NO_CHECKPOINT)
    assert not files.canary.exists()
    assert str(files.folder) not in sys.path
    assert "Traceback" not in capfd.readouterr().err
