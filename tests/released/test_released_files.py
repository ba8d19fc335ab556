"""What released versions have left is read by this one, or refused in a sentence that names the version.

`tests/released/make.py` made the files, with the code of the commit that they are named by.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from released_files import VERSIONS, unpacked

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from coordinator.recording.reader import read_trace
from heliograph import __version__, marl_eval
from heliograph.bundle import load, load_team
from heliograph.certificates.signing_keys import read_trusted_key
from heliograph.cli import main
from heliograph.run_status import RunState, read_status
from trainer.training.run_folder import RunFolder

ALGORITHMS = ("attention-ppo", "continuous", "independent", "mabl", "mag", "mamba", "mappo")
WRONG_VERSIONS = {
    # Of each file, what says its version, and how a later one would say it.
    "a bundle": ("run/bundles/agent-0/manifest.json", '"format_version": 1', '"format_version": 9'),
    "a recording": ("recording.jsonl", '"version":3', '"version":9'),
    "a checkpoint": ("interrupted/checkpoints/00000009/state.json", '"format_version": 2', '"format_version": 9'),
    "a snapshot": ("run/snapshots/000000048/snapshot.json", '"format_version": 1', '"format_version": 9'),
    "a logbook": ("logbook.jsonl", '"version":1', '"version":9'),
    "a sweep": ("bandwidth/sweep.json", '"version": 1', '"version": 9'),
    "a cell": ("bandwidth/cells/run_seed-0_cut.json", '"version": 1', '"version": 9'),
    "a report": ("report.json", '"version": 1', '"version": 9'),
    "a bandwidth report": ("bandwidth/report.json", '"version": 1', '"version": 9'),
    # What the first version left says none; what came after it does.
    "settings": ("interrupted/settings.json", "{", '{"format_version": 9,'),
    "settings of a compared run": ("run/settings.json", "{", '{"format_version": 9,'),
    "settings of an evaluated run": ("run/settings.json", "{", '{"format_version": 9,'),
    "a run": ("run/run.json", "{", '{"format_version": 9,'),
}


@pytest.fixture(scope="module", params=VERSIONS)
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only by its tests."""
    return unpacked(request.param, tmp_path_factory)


@pytest.fixture(params=VERSIONS)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for each test that changes it."""
    return unpacked(request.param, tmp_path_factory)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bundles_of_every_algorithm_act(left: Path, algorithm: str) -> None:
    folder = left / "teams" / algorithm
    for bundle in load_team(folder):
        manifest = bundle.manifest
        agent = Agent(bundle, run_seed=0, greedy=True)
        decision = agent.step(
            AgentInput(
                episode=0,
                step=0,
                first=True,
                observation=np.zeros(manifest.observation_size, np.float32),
                action_mask=np.ones(manifest.actions.mask_size, np.bool_),
                receives_from=(),
            ),
            {},
        )
        assert (decision.message is None) == (manifest.message is None)


def test_a_signature_still_counts(left: Path) -> None:
    load(left / "teams" / "mamba" / "agent-0.tar").verify(read_trusted_key(left / "signing.key.pub"))


def test_a_run_is_evaluated_to_what_it_was(left: Path, tmp_path: Path) -> None:
    """The same episodes, the same bundles: the same scores, and the same results file."""
    results = ("--json", str(tmp_path / "report.json"), "--marl-eval", str(tmp_path / "results.json"))
    assert main(["evaluate", str(left / "run"), "--episodes", "4", "--policy", "both", *results]) == 0
    then, now = (marl_eval.read(folder / "results.json") for folder in (left, tmp_path))
    assert [(run.task, run.steps, run.absolute) for run in now] == [(run.task, run.steps, run.absolute) for run in then]


def test_its_networks_are_evaluated(left: Path) -> None:
    assert main(["evaluate", str(left / "run"), "--episodes", "2", "--central"]) == 0
    assert main(["evaluate", str(left / "run"), "--episodes", "2", "--checkpoints", "all"]) == 0


@pytest.mark.slow
def test_a_team_runs_as_processes(left: Path, tmp_path: Path) -> None:
    """Message for message what was recorded then."""
    recording = tmp_path / "recording.jsonl.gz"
    bundles = str(left / "run" / "bundles")
    assert main(["run", "--bundles", bundles, "--episodes", "4", "--record", str(recording)]) == 0
    then, now = read_trace(left / "recording.jsonl.gz"), read_trace(recording)
    assert now.header.bundles == then.header.bundles
    for one, other in zip(now.episodes, then.episodes, strict=True):
        assert one.latent is not None
        assert other.latent is not None
        assert np.array_equal(one.latent, other.latent)
        assert np.array_equal(one.action, other.action)


@pytest.mark.parametrize("trace", ["recording.jsonl.gz", "bandwidth/trace.jsonl.gz"])
def test_recordings_are_recosted(left: Path, trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bandwidth", "recost", str(left / trace), "--codec", "bit-packed", "--codec", "entropy"]
    assert main([*command, "--out", str(tmp_path / "recosted")]) == 0
    assert "entropy" in capsys.readouterr().out


@pytest.mark.slow
def test_runs_and_results_are_compared(left: Path, tmp_path: Path) -> None:
    command = ["compare", f"ours={left / 'run'}", f"theirs={left / 'interrupted'}", "--output", str(tmp_path / "plots")]
    assert main([*command, "--json", str(tmp_path / "compared.json")]) == 0
    assert main(["compare", f"then={left / 'results.json'}", "--output", str(tmp_path / "then")]) == 0
    assert json.loads((tmp_path / "compared.json").read_text())


def test_states_of_runs_are_known(left: Path) -> None:
    assert read_status(left / "run").state is RunState.FINISHED
    assert read_status(left / "interrupted").state is RunState.INTERRUPTED


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_its_end(own: Path) -> None:
    run = own / "interrupted"
    before = RunFolder.open(run).history()
    assert main(["train", "--resume", str(run)]) == 0
    after = RunFolder.open(run).history()
    assert after[: len(before)] == before
    assert after[-1]["env_steps"] == 600
    assert (run / "bundles" / "agent-1" / "step.onnx").is_file()
    assert read_status(run).ended


@pytest.mark.slow
def test_a_run_is_exported_again(left: Path, tmp_path: Path) -> None:
    assert main(["export", str(left / "run"), "--to", str(tmp_path / "again")]) == 0
    then, now = load_team(left / "run" / "bundles"), load_team(tmp_path / "again")
    for one, other in zip(now, then, strict=True):
        assert one.manifest.state == other.manifest.state
        assert one.tables == other.tables
        assert one.manifest.run_id == other.manifest.run_id


@pytest.mark.slow
def test_a_coordinator_goes_on_after_the_episodes_of_then(own: Path) -> None:
    logbook = own / "logbook.jsonl"
    before = logbook.read_text()
    bundles = str(own / "run" / "bundles")
    assert main(["run", "--bundles", bundles, "--episodes", "4", "--resume", str(logbook)]) == 0
    after = logbook.read_text()
    assert after.startswith(before)
    assert after.count('"kind":"episode"') == 4


@pytest.mark.slow
def test_a_sweep_goes_on(own: Path) -> None:
    cells = own / "bandwidth" / "cells"
    kept = {path.name: path.read_bytes() for path in cells.iterdir()}
    assert len(kept) == 3
    (cells / "run_seed-0_cut.json").unlink()
    sweep = ["--local", "--sweep", "erasure=0,0.5", "--episodes", "4", "--out", str(own / "bandwidth"), "--resume"]
    assert main(["bandwidth", str(own / "run"), *sweep]) == 0
    del kept["run_seed-0_cut.json"]
    assert {name: (cells / name).read_bytes() for name in kept} == kept


@pytest.mark.slow
@pytest.mark.parametrize("what", WRONG_VERSIONS)
def test_what_a_later_version_wrote_is_refused_by_its_version(
    own: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "a recording":
        (own / "recording.jsonl").write_bytes(gzip.decompress((own / "recording.jsonl.gz").read_bytes()))
    name, ours, later = WRONG_VERSIONS[what]
    text = (own / name).read_text()
    assert ours in text
    (own / name).write_text(text.replace(ours, later, 1))
    bundles = str(own / "run" / "bundles")
    sweep = ["bandwidth", str(own / "run"), "--local", "--sweep", "erasure=0,0.5", "--episodes", "4"]
    sweep += ["--out", str(own / "bandwidth"), "--resume"]
    command = {
        "a bundle": ["evaluate", str(own / "run")],
        "a recording": ["bandwidth", "recost", str(own / name), "--codec", "repeats", "--out", str(own / "out")],
        "a checkpoint": ["train", "--resume", str(own / "interrupted")],
        "a snapshot": ["evaluate", str(own / "run"), "--episodes", "1", "--checkpoints", "all"],
        "a logbook": ["run", "--bundles", bundles, "--episodes", "4", "--resume", str(own / name)],
        "a sweep": sweep,
        "a cell": sweep,
        "a report": ["card", str(own / "run"), "--report", str(own / name), "--to", str(own / "card"), "--no-audit"],
        "a bandwidth report": sweep,
        "settings": ["train", "--resume", str(own / "interrupted")],
        "settings of a compared run": ["compare", f"ours={own / 'run'}", "--output", str(own / "plots")],
        "settings of an evaluated run": ["evaluate", str(own / "run"), "--episodes", "1", "--policy", "both"],
        "a run": ["export", str(own / "run"), "--out", str(own / "out")],
    }[what]
    assert main(command) in (2, 3, 9)
    sentence = capsys.readouterr().err
    assert "version" in sentence or "format" in sentence
    assert re.search(r"(version|format) \D*9", sentence), sentence
    read_here = [int(number) for number in re.findall(r"(?:read here is|this program reads)\D*(\d+)", sentence)]
    assert read_here, sentence
    assert 9 not in read_here, sentence


def test_settings_that_this_version_does_not_know_are_refused_with_the_version_that_began_the_run(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later version may only have added a setting, which changes no format."""
    run = own / "interrupted"
    for name, change in (("settings.json", {"foresight": 3}), ("run.json", {"heliograph": "9.0.0"})):
        (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | change))
    assert main(["train", "--resume", str(run)]) == 2
    sentence = capsys.readouterr().err
    assert "foresight" in sentence
    assert f"the run was begun with heliograph '9.0.0', and this is version {__version__}" in sentence
