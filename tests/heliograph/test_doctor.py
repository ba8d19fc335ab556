"""`heliograph doctor`: what it finds in good, bad and missing installations, and how it says so."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import namedtuple
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.doctor import command, machine, packages, starcraft, trial
from heliograph.doctor.finding import Finding, usable
from heliograph.environments.smac.maps import SMAC_MAPS

DOUBLE = Path(__file__).parent / "smac_double"
DEVELOPERS = ("test", "check", "docs")
"""Extras for those who change the project, whom nobody advises to install one for lack of a feature."""
FINE = [Finding(name="x", state="ok", detail="1.0")]
BROKEN = [Finding(name="y", state="missing", detail="needs >=2", remedy="Install y")]


@pytest.fixture
def game(tmp_path: Path) -> Path:
    """A folder as the game and all maps leave it."""
    for build in ("Base75689", "Base9"):
        binary = tmp_path / "Versions" / build / "SC2_x64"
        binary.parent.mkdir(parents=True)
        binary.touch(mode=0o755)
    maps = tmp_path / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    for name in (*SMAC_MAPS, "32x32_flat"):
        (maps / f"{name}.SC2Map").touch()
    return tmp_path


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


def test_a_complete_game_is_usable(game: Path) -> None:
    findings = starcraft.examine_game(game)
    assert usable(findings)
    assert "Base75689" in findings[0].detail, "the newest build is the one with the highest number"


def test_no_game_at_all(tmp_path: Path) -> None:
    finding = only(starcraft.examine_game(tmp_path / "nowhere"))
    assert finding.state == "missing"
    assert str(tmp_path / "nowhere") in finding.detail
    assert "SC2PATH" in finding.remedy


def test_a_folder_without_a_binary_still_tells_about_its_maps(game: Path) -> None:
    shutil.rmtree(game / "Versions")
    binary, maps = starcraft.examine_game(game)
    assert (binary.state, maps.state) == ("missing", "ok")
    assert "Versions/Base*" in binary.detail


def test_a_binary_without_the_right_to_run(game: Path) -> None:
    for binary in game.glob("Versions/*/SC2_x64"):
        binary.chmod(0o644)
    finding = starcraft.examine_game(game)[0]
    assert finding.state == "wrong"
    assert finding.remedy.startswith("chmod +x")


def test_missing_maps_are_named(game: Path) -> None:
    (game / "Maps" / "SMAC_Maps" / "corridor.SC2Map").unlink()
    (game / "Maps" / "SMAC_Maps" / "32x32_flat.SC2Map").unlink()
    finding = starcraft.examine_game(game)[1]
    assert finding.state == "wrong"
    assert finding.detail.endswith("lacks corridor, 32x32_flat")
    shutil.rmtree(game / "Maps")
    finding = starcraft.examine_game(game)[1]
    assert finding.state == "missing"
    assert "oxwhirl/smacv2" in finding.remedy


def test_the_folder_of_the_game_is_where_pysc2_looks(tmp_path: Path) -> None:
    assert starcraft.game_folder({"SC2PATH": str(tmp_path)}) == tmp_path
    assert starcraft.game_folder({"SC2PATH": ""}).is_absolute()


def test_smac_is_usable_with_its_packages_and_the_game(game: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", str(game))
    monkeypatch.syspath_prepend(DOUBLE)
    monkeypatch.setenv("PYTHONPATH", str(DOUBLE))
    monkeypatch.setattr(starcraft, "_MODULES", ("smacv2.env",))
    monkeypatch.setattr(starcraft, "examine_versions", lambda extra: list(FINE))
    findings = starcraft.examine_smac()
    assert usable(findings), findings
    assert "import smacv2.env" in [finding.name for finding in findings]


def test_the_protocol_code_is_tried_with_the_implementation_that_can_load_it() -> None:
    if find_spec("pysc2") is None:
        pytest.skip("StarCraft's Python packages are not installed")
    findings = {finding.name: finding for finding in starcraft.examine_smac()}
    assert findings["import s2clientprotocol.sc2api_pb2"].state == "ok"
    assert findings["import pysc2.run_configs"].state == "ok"
    assert "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" not in os.environ


def test_without_its_packages_smac_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(starcraft, "examine_versions", lambda extra: list(BROKEN))
    monkeypatch.setattr(starcraft, "find_spec", lambda name: None)
    findings = starcraft.examine_smac()
    assert [finding.state for finding in findings] == ["missing", "missing", "missing"]
    assert "--no-deps git+https://github.com/oxwhirl/smacv2.git" in findings[1].remedy


def test_the_base_of_this_installation_is_fine() -> None:
    assert usable(packages.examine_python())
    versions = {finding.name: finding for finding in packages.examine_versions(packages.BASE)}
    assert versions["numpy"].state == "ok"
    assert versions["grpcio"].detail == metadata.version("grpcio")
    assert "torch" not in versions, "the base does without"


def test_each_extra_asks_for_its_own_packages_alone() -> None:
    declared = {
        extra for extra in metadata.metadata("heliograph").get_all("Provides-Extra") or [] if extra not in DEVELOPERS
    }
    assert declared == {*packages.EXTRAS, "smac"} == {*command.EXTRAS}
    names = [finding.name for finding in packages.examine_versions("flatland")]
    assert "flatland-rl" in names
    assert not {"numpy", "torch", "jaxmarl"} & set(names)


@pytest.mark.parametrize(("installed", "state"), [("4.3.2", "ok"), ("4.2.0", "wrong"), (None, "missing")])
def test_versions_are_held_against_what_is_declared(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, state: str
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(metadata, "version", version)
    finding = packages.examine_versions("flatland")[0]
    assert finding.state == state
    assert ("pip install 'heliograph[flatland]'" in finding.remedy) == (state != "ok")


def test_what_is_installed_but_cannot_be_imported_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages._MODULES, "flatland", ("json", "no_such_module_here"))
    monkeypatch.setattr(packages, "examine_versions", lambda extra: list(FINE))
    findings = packages.examine_extra("flatland")
    assert [finding.state for finding in findings] == ["ok", "wrong"]
    assert "ModuleNotFoundError: No module named 'no_such_module_here'" in findings[1].detail


def test_a_module_that_ends_or_hangs_the_process_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fatal.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "endless.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert trial.try_imports(["fatal"])[0] == {"fatal": "the process that imported it ended with exit code 3"}
    monkeypatch.setattr(trial, "_TIMEOUT_S", 0.5)
    assert trial.try_imports(["endless"])[0] == {"endless": "importing took more than 0.5 s"}


def test_variables_hold_in_the_trial_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "choosy.py").write_text("import os\nassert os.environ['CHOOSY'] == 'yes', 'not chosen'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert trial.try_imports(["choosy"], variables={"CHOOSY": "yes"})[0] == {}
    assert trial.try_imports(["choosy"], variables={"CHOOSY": "no"})[0] == {"choosy": "AssertionError: not chosen"}
    assert "CHOOSY" not in os.environ


def test_ports_disk_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable(machine.examine_machine())
    with socket.create_server(("127.0.0.1", 0)):
        assert machine.examine_loopback().state == "ok", "another listener is no obstacle"
    assert machine.examine_loopback("192.0.2.1").state == "wrong", "an address that is not of this machine"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 10, 2**30))
    assert machine.examine_disk(tmp_path).detail == f"1.0 GiB free in {tmp_path}, needs 2"
    monkeypatch.setattr(machine, "_available_memory", lambda: 2**28)
    assert machine.examine_memory().state == "wrong"


def test_docker_is_asked_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(machine.examine_docker()).state == "missing"
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect' >&2\nexit 1\n")
    docker.chmod(0o755)
    assert only(machine.examine_docker()).detail == "Cannot connect"
    docker.write_text("#!/bin/sh\n")
    assert only(machine.examine_docker()).state == "ok"


@pytest.mark.parametrize(
    ("parts", "broken", "code"),
    [([], "smac", 0), ([], "base", 1), (["smac"], "smac", 1), (["smac"], "base", 0), (["base", "smac"], "smac", 1)],
)
def test_the_exit_code_is_that_of_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], parts: list[str], broken: str, code: int
) -> None:
    monkeypatch.setattr(command, "_examine", lambda part: BROKEN if part == broken else FINE)
    assert main(["doctor", *parts]) == code
    out = capsys.readouterr().out
    assert (f"{broken}: not usable" in out) == (not parts or broken in parts)
    assert ("  missing  y: needs >=2\n           -> Install y" in out) == (not parts or broken in parts)


def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "_examine", lambda part: BROKEN if part == "smac" else FINE)
    assert main(["doctor", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == list(command.PARTS)
    assert shown["smac"]["usable"] is False
    assert shown["smac"]["findings"][0]["remedy"] == "Install y"


def test_a_part_that_does_not_exist_lists_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "starcraft"]) == 2
    assert "there is no part 'starcraft' to look at. Name some of base, trainer" in capsys.readouterr().err


@pytest.mark.slow
def test_every_part_can_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def imports(modules: list[str], **_: object) -> tuple[dict[str, str], list[str]]:
        tried.extend(modules)
        return {}, ["GPU of a test"]

    monkeypatch.setattr(packages, "try_imports", imports)
    monkeypatch.setattr(starcraft, "try_imports", imports)
    for part in command.PARTS:
        assert command._examine(part)
    assert "numpy" in tried
