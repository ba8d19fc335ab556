"""`heliograph bundle` as a user calls it: pack a policy of others, look at it, sign it, run and audit it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from child_environment import importing_test_modules
from foreign_policies import gru, mlp
from scripted_bundle import scripted_team

from heliograph.bundle import make
from heliograph.cli import main
from heliograph.environments import registry

pytestmark = pytest.mark.usefixtures("warm_teams")

SPEC = registry.make("relay", count=1, parameters={"agents": 2}).spec


def heliograph(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heliograph", *arguments]
    # A width at which no table is cut, wherever the test runs.
    environment = importing_test_modules() | {"COLUMNS": "160"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a packed team in `team`, of a recurrent policy."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "policy.onnx").write_bytes(gru(SPEC.observation_size + 2, SPEC.actions))
    told = heliograph(
        folder,
        *("bundle", "pack", "policy.onnx", "--environment", "relay", "--parameter", "agents=2", "--to", "team"),
        *("--observation", "obs", "--logits", "logits", "--state", "h:h_out", "--append-id"),
        *("--algorithm", "ours", "--training-step", "1200"),
    )
    assert told.stdout == "team/agent-0\nteam/agent-1\n"
    return folder


def test_it_tells_what_a_bundle_is(folder: Path) -> None:
    told = json.loads(heliograph(folder, "bundle", "inspect", "team", "--json").stdout)
    assert list(told) == ["team/agent-0", "team/agent-1"]
    first = told["team/agent-0"]
    assert (first["algorithm"], first["training_step"], first["signed"]) == ("ours", 1200, "no")
    assert first["state"][0]["shape"] == [1, 1, 6]
    assert "ours" in heliograph(folder, "bundle", "inspect", "team/agent-1").stdout


def test_what_a_bundle_says_of_itself_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found, _) = scripted_team(team_size=2, actions=3, observation_size=4, environment="relay")
    manifest = replace(found.manifest, run_id="\x9b2Jmine")
    make(manifest, found.graph, found.tables).save(tmp_path / "agent-0")
    assert main(["bundle", "inspect", str(tmp_path / "agent-0")]) == 0
    assert re.search(r"run_id +\?2Jmine$", capsys.readouterr().out, re.MULTILINE)


def test_a_signature_is_made_and_looked_at(folder: Path) -> None:
    for name in ("key", "other"):
        heliograph(folder, "certificates", "signing-key", name)
    refused = heliograph(folder, "bundle", "verify", "team", "--trusted-key", "key.pub", code=3)
    assert "bundle is not signed" in refused.stderr
    assert heliograph(folder, "bundle", "sign", "team", "--key", "key").stdout == "team/agent-0\nteam/agent-1\n"
    told = heliograph(folder, "bundle", "verify", "team", "--trusted-key", "key.pub").stdout
    assert told.count("signed by a trusted key") == 2
    assert (
        "not by a trusted key"
        in heliograph(folder, "bundle", "verify", "team", "--trusted-key", "other.pub", code=3).stderr
    )


def test_signing_changes_the_signature_alone_wherever_the_bundle_lies(folder: Path, tmp_path: Path) -> None:
    heliograph(tmp_path, "certificates", "signing-key", "key")
    bundle = tmp_path / "own"
    shutil.copytree(folder / "team" / "agent-0", bundle)
    (bundle / "manifest.sig").unlink(missing_ok=True)
    (bundle / "notes.md").write_text("of the user")
    (tmp_path / "link").symlink_to(bundle)
    for path, where in ((".", bundle), ("link", tmp_path)):
        before = {entry.name: entry.read_bytes() for entry in bundle.iterdir()}
        heliograph(where, "bundle", "sign", path, "--key", str(tmp_path / "key"))
        after = {entry.name: entry.read_bytes() for entry in bundle.iterdir()}
        assert after.pop("manifest.sig")
        assert after == {name: data for name, data in before.items() if name != "manifest.sig"}
    heliograph(tmp_path, "bundle", "verify", "own", "--trusted-key", "key.pub")


def test_a_changed_graph_is_found(folder: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "step.onnx"):
        (tmp_path / name).write_bytes((folder / "team" / "agent-0" / name).read_bytes())
    with (tmp_path / "step.onnx").open("ab") as file:
        file.write(b"\0")
    assert "does not match the digest" in heliograph(folder, "bundle", "verify", str(tmp_path), code=3).stderr


def test_a_name_in_vain_ends_in_one_line(folder: Path) -> None:
    arguments = ("bundle", "pack", "policy.onnx", "--environment", "relay", "--to", "x", "--observation", "obs")
    done = heliograph(folder, *arguments, "--logits", "q", code=3)
    assert done.stderr == "heliograph bundle: policy.onnx has no output 'q'. Its outputs are logits, h_out\n"
    assert (
        "not of the form --state INPUT:OUTPUT"
        in heliograph(folder, *arguments, "--logits", "logits", "--state", "h", code=2).stderr
    )
    told = heliograph(folder, *arguments, "--logits", "logits", "--parameter", "agents", code=2).stderr
    assert told.endswith("override 'agents' is not of the form key=value. Write section.key=value, or key=value\n")


@pytest.mark.slow
def test_a_packed_team_plays_as_processes_as_in_one_and_passes_the_audit(folder: Path) -> None:
    for words, name in ((("run", "--bundles", "team"), "run.json"), (("evaluate", "team"), "evaluate.json")):
        heliograph(folder, *words, "--episodes", "4", "--links", "open", "--sampled", "--json", name)
    run, one = (json.loads((folder / name).read_text())["summaries"] for name in ("run.json", "evaluate.json"))
    for what in ("outcome", "team_return", "steps"):
        assert [summary[what] for summary in run] == [summary[what] for summary in one]
    assert run[0]["steps"] > 0
    heliograph(folder, "audit", "team", "--episodes", "2", "--out", "audit")
    heliograph(folder, "bandwidth", "measure", "team", "--out", "report", "--episodes", "2")


@pytest.mark.slow
def test_gaussians_of_agents_of_unequal_sizes_run_are_scored_and_audited(tmp_path: Path) -> None:
    """The second agent of `steering_team` has one number to give where the first has two, and a graph of its own."""
    for name, size in (("mast", 2), ("oar", 1)):
        (tmp_path / f"{name}.onnx").write_bytes(mlp(5, {"mean": size, "deviation": size}))
    heliograph(
        tmp_path,
        *("bundle", "pack", "mast.onnx", "oar.onnx", "--environment", "steering_team:make", "--to", "team"),
        *("--observation", "obs", "--mean", "mean", "--deviation", "deviation", "--deviation-is", "log"),
    )
    world = ("--allow-environment", "steering_team:make", "--sampled")
    scores = []
    for command in (("evaluate", "team"), ("run", "--bundles", "team")):
        heliograph(tmp_path, *command, *world, "--episodes", "3", "--json", f"{command[0]}.json")
        scores.append(json.loads((tmp_path / f"{command[0]}.json").read_text()))
    one, processes = (score["summaries"][0]["outcome"] for score in scores)
    assert one == processes
    told = heliograph(tmp_path, "audit", "team", *world, "--episodes", "2").stdout
    assert "are equal bit for bit" in told
    assert "Nothing refutes" in told
