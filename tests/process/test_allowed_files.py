"""What files name runs once the user names it, or a trusted key has signed it; and the current folder is no way in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary_files import MODULE, SYSTEM, HostileFiles, make_hostile_files
from relay_team import relay_bundles
from scripted_bundle import save_team

from heliograph.certificates.signing_keys import make_signing_key, read_signing_key
from heliograph.cli import main

REFUSED, NO_CHECKPOINT = 5, 9
"""The second comes after the environment was made: the files' checkpoint is empty."""
ALLOWED = ("--allow-environment", MODULE)
CONSOLE = "import sys; del sys.path[0]; from heliograph.cli import main; sys.exit(main())"
"""The console script, without the folder that `python -c` puts first."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileFiles]:
    """Files that name a module of the current folder, where its owner stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield make_hostile_files(tmp_path, MODULE)
    sys.modules.pop("canary_module", None)


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "bundles", "--episodes", "2", *ALLOWED],
        ["evaluate", "bundles", "--episodes", "2", "--environment", MODULE],
        ["evaluate", "bundles", "harmless", "--episodes", "2", "--reference", "random", *ALLOWED],
        ["evaluate", "bundles", "--episodes", "2", "--jobs", "2", *ALLOWED],
        ["evaluate", "--reference", "random", "--environment", MODULE, "--episodes", "2"],
        ["run", "--bundles", "bundles", "--episodes", "2", *ALLOWED],
        ["bandwidth", "bundles", "--local", "--episodes", "2", *ALLOWED],
        ["bandwidth", "bundles", "--local", "--episodes", "2", "--sweep", "late=hold", "--jobs", "2", *ALLOWED],
        ["train", "--preset", "preset.toml", "--folder", "mine", "--set", "environment.workers=2", *ALLOWED],
        ["environments", MODULE],
    ],
    ids=lambda command: " ".join(word for word in command if word not in ("--episodes", "2")),
)
def test_what_the_user_names_in_the_command_runs(files: HostileFiles, command: list[str]) -> None:
    assert main(command) == 0
    assert files.canary.exists()


def test_another_path_than_the_named_one_stays_refused(files: HostileFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "bundles", "--allow-environment", "canary_module:make_other"]) == REFUSED
    assert f"add --allow-environment {MODULE}" in capsys.readouterr().err
    assert not files.canary.exists()


def test_a_trusted_signature_stands_for_the_flag_but_not_for_the_current_folder(
    files: HostileFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    key = files.folder / "key"
    trusted = str(make_signing_key(key))
    save_team([bundle.sign(read_signing_key(key)) for bundle in files.team()], files.folder / "signed")
    assert main(["evaluate", "signed", "--episodes", "2", "--trusted-key", trusted]) == REFUSED
    assert "'canary_module', which is not installed" in capsys.readouterr().err
    assert not files.canary.exists()

    sys.path.append(str(files.folder))  # as an installed package is
    assert main(["evaluate", "signed", "--episodes", "2", "--trusted-key", trusted]) == 0
    assert files.canary.exists()


def test_a_signature_that_is_missing_allows_nothing_however_insecure(
    files: HostileFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    trusted = str(make_signing_key(files.folder / "key"))
    untrusted = ["run", "--bundles", "bundles", "--episodes", "2", "--trusted-key", trusted]
    assert main(untrusted) == 3
    assert main([*untrusted, "--insecure"]) == REFUSED
    assert f"add --allow-environment {MODULE}" in capsys.readouterr().err
    assert not files.canary.exists()


def test_texts_go_to_code_only_as_the_user_repeats_them(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    files = make_hostile_files(tmp_path, SYSTEM)
    allowed = ["evaluate", "bundles", "--allow-environment", SYSTEM]
    assert main(allowed) == REFUSED
    assert not files.canary.exists()
    said = capsys.readouterr().err
    assert f"command = 'touch {files.canary}'" in said
    assert said.endswith(f"add --allow-parameter 'command=\"touch {files.canary}\"'\n")
    assert main([*allowed, "--allow-parameter", "command=true"]) == REFUSED
    assert not files.canary.exists()
    # What the user gives is taken, and `true` makes no environment.
    assert main([*allowed, "--set", "command=true"]) == REFUSED
    assert "names the environment" not in capsys.readouterr().err.splitlines()[-1]
    assert not files.canary.exists()


def test_a_run_of_ones_own_asks_once_and_remembers_outside_of_the_folder(
    files: HostileFiles, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", "run"]) == REFUSED
    assert f"add {' '.join(ALLOWED)}; for this run it is asked once, and then remembered" in capsys.readouterr().err
    assert not files.canary.exists()
    assert main(["train", "--resume", "run", *ALLOWED]) == NO_CHECKPOINT
    assert "which is not asked again (remembered in " in capsys.readouterr().err
    assert files.canary.exists()
    assert main(["train", "--resume", "run"]) == NO_CHECKPOINT
    assert "remembered" not in capsys.readouterr().err

    # What was remembered is of this folder, this environment and this file.
    shutil.copytree("run", "copy")
    assert main(["train", "--resume", "copy"]) == REFUSED
    settings = json.loads(Path("run/settings.json").read_text())
    settings["environment"]["parameters"] = {"early_leavers": False}
    Path("run/settings.json").write_text(json.dumps(settings))
    assert main(["train", "--resume", "run"]) == REFUSED
    settings["environment"]["parameters"] = {}
    Path("run/settings.json").write_text(json.dumps(settings))
    assert main(["train", "--resume", "run"]) == NO_CHECKPOINT
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move("canary_module.py", elsewhere)
    sys.path.append(str(elsewhere))
    del sys.modules["canary_module"]
    assert main(["train", "--resume", "run"]) == REFUSED


def test_an_answer_that_cannot_be_remembered_holds_for_once(
    files: HostileFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(files.folder / "preset.toml"))  # no folder can be made in a file
    assert main(["train", "--resume", "run", *ALLOWED]) == NO_CHECKPOINT
    assert "this time alone, as it cannot be remembered: " in capsys.readouterr().err
    assert main(["train", "--resume", "run"]) == REFUSED


@pytest.mark.parametrize(
    "command", [["evaluate", "harmless", "--episodes", "2", "--jobs", "2"], ["run", "--bundles", "harmless"]], ids=str
)
def test_no_process_looks_for_modules_in_the_current_folder(tmp_path: Path, command: list[str]) -> None:
    save_team(relay_bundles(2), tmp_path / "harmless")
    canary = tmp_path / "canary"
    names = ("socket", "pickle", "selectors", "signal", "multiprocessing", "numpy", "grpc", "onnxruntime", "agent_node")
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    done = subprocess.run(
        [sys.executable, "-c", CONSOLE, *command, "--episodes", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
