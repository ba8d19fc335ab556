"""A file that is removed while a run writes it: the run ends, shows what was finished, and says that it is not kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from coordinator.recording.journal import Logbook
from coordinator.recording.writer import Recorder
from heliograph import cli
from heliograph.errors import OutputFailed

pytestmark = pytest.mark.usefixtures("warm_teams")
EPISODES = 40


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("made") / "team")


def _removed_before(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, folder: Path) -> None:
    """Before every call of a method the folder is removed, if it is there."""
    original = getattr(owner, method)

    def call(self: Any, *arguments: Any) -> Any:
        shutil.rmtree(folder, ignore_errors=True)
        return original(self, *arguments)

    monkeypatch.setattr(owner, method, call)


def _ended(command: str, team: Path, *options: str) -> int:
    folder = [str(team)] if command == "evaluate" else ["--bundles", str(team)]
    return cli.main([command, *folder, "--episodes", str(EPISODES), *options])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "run"])
@pytest.mark.parametrize("name", ["recording.jsonl", "recording.jsonl.gz"])
def test_a_recording_whose_folder_is_gone(tmp_path, team, command, name, capfd, monkeypatch) -> None:
    folder = tmp_path / "recordings"
    _removed_before(monkeypatch, Recorder, "step", folder)
    assert _ended(command, team, "--record", str(folder / name)) == OutputFailed.exit_code
    out, err = capfd.readouterr()
    assert "return per agent" in out
    said = " ".join((out + err).split())
    assert f"{name}: it was moved, removed or replaced while it was written" in said
    assert "leave the file where it is" in said
    assert not folder.exists()


@pytest.mark.slow
def test_a_recording_that_is_gone_at_its_end(tmp_path, team, capfd, monkeypatch) -> None:
    """It was there after the last episode."""
    _removed_before(monkeypatch, Recorder, "finish", tmp_path / "recordings")
    options = ("--record", str(tmp_path / "recordings" / "recording.jsonl"))
    assert _ended("evaluate", team, *options) == OutputFailed.exit_code
    assert "removed or replaced" in " ".join("".join(capfd.readouterr()).split())


def test_finished_episodes_whose_file_is_replaced(tmp_path, team, capfd, monkeypatch) -> None:
    """An editor that saves puts another file in its place: what is written goes into the one without a name."""
    path, original = tmp_path / "done.jsonl", Logbook.finished

    def finished(self: Logbook, *arguments: Any) -> None:
        (tmp_path / "copy").write_bytes(path.read_bytes())
        (tmp_path / "copy").replace(path)
        original(self, *arguments)

    monkeypatch.setattr(Logbook, "finished", finished)
    assert _ended("run", team, "--resume", str(path)) == OutputFailed.exit_code
    said = " ".join("".join(capfd.readouterr()).split())
    assert "cannot keep finished episodes in" in said
    assert "replaced while it was written" in said
