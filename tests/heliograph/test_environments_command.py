"""`heliograph environments`: the list, and all about one environment, as text and as JSON."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.listing import describe
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import MissingExtra, UnknownEnvironment
from heliograph.settings import resolve

Capture = pytest.CaptureFixture[str]


def test_json_holds_every_known_environment(capsys: Capture) -> None:
    assert main(["environments", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(CATALOGUE)
    assert rows["relay"]["installed"]
    assert rows["smax-3m"]["family"] == "smax"
    assert rows["smacv2-zerg-5_vs_5"]["family"] == "smacv2"


def test_the_list_names_all_and_stays_narrow(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(registry, "_importable", lambda package: package != "smacv2")
    assert main(["environments"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {word for line in lines for word in line.split()}
    assert set(CATALOGUE) <= shown
    assert "smac: not installed; install with" in lines
    assert "flatland: installed" in lines
    assert "relay: built in" in lines
    assert max(len(line) for line in lines if "install" not in line) <= 80
    assert "    pip install --no-deps git+https://github.com/oxwhirl/smacv2.git" in lines


@pytest.mark.slow
def test_the_list_imports_no_simulator_and_makes_nothing() -> None:
    program = (
        "import json, sys, time\n"
        "from heliograph.cli import main\n"
        "from heliograph.environments import registry\n"
        "registry.make = None\n"
        "main(['environments'])\n"
        "report = {'cpu_s': time.process_time(), 'modules': sorted(sys.modules)}\n"
        "print(json.dumps(report), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    report = json.loads(result.stderr.splitlines()[-1])
    loaded = {name.partition(".")[0] for name in report["modules"]}
    assert not loaded & {entry.package for entry in CATALOGUE.values() if entry.package}
    assert report["cpu_s"] < 1.0


def test_one_is_shown_with_dimensions_capabilities_and_parameters(capsys: Capture) -> None:
    assert main(["environments", "relay"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for fact in (
        "observation 18 numbers",
        "actions 5, some illegal at times",
        "at most 6 steps",
        "best without messages 0.1111",
        "global state 36 numbers",
        "reference policies random",
        "observation_noise = 0.0 (number from 0.0 to 10.0)",
        'hears = "all" (all, ring, range) Who is heard: everyone;',
    ):
        assert fact in text


def test_one_as_json_holds_everything(capsys: Capture) -> None:
    assert main(["environments", "relay", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["spec"]["blind_bound"] == pytest.approx(1 / 9)
    assert shown["spec"]["parameters"] == {parameter["name"]: parameter["default"] for parameter in shown["parameters"]}
    assert shown["references"] == ["random"]


def test_what_is_not_installed_is_described_without_being_made(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_importable", lambda package: package != "smacv2")
    assert main(["environments", "smac-corridor"]) == 0
    text = capsys.readouterr().out
    assert "not installed" in text
    assert 'map = "corridor"' in text, "the default is the one that the name stands for"
    with pytest.raises(
        MissingExtra, match=r"needs 'smacv2'.*pip install 'heliograph\[smac\]' && pip install --no-deps"
    ):
        registry.make("smac-corridor", count=1)


@pytest.mark.parametrize(("name", "of_this_package"), [("smac-corridor", True), ("football-academy_corner", False)])
def test_a_checkout_is_spoken_of_where_this_package_is_installed_and_never_behind_a_command(
    name: str, of_this_package: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_importable", lambda package: False)
    command = CATALOGUE[name].install
    with pytest.raises(MissingExtra) as told:
        registry.make(name, count=1)
    assert str(told.value).endswith(f"Install it with: {command}")
    assert ("In a checkout '.' takes the place of heliograph" in str(told.value)) is of_this_package
    assert main(["environments", name]) == 0
    assert ("In a checkout" in capsys.readouterr().out) is of_this_package


def test_an_environment_of_ones_own_is_described_too() -> None:
    described = describe("foreign_team:make", permission=EVERYTHING)
    assert described.spec is not None
    assert (described.spec.agents, described.parameters, described.known.family) == (2, None, "")


def test_an_unknown_name_says_which_there_are(capsys: Capture) -> None:
    with pytest.raises(UnknownEnvironment, match=r"Did you mean smac-3m.*Known are smac-3m, smac-8m"):
        registry.make("smac-33m", count=1)
    assert main(["environments", "rellay"]) == UnknownEnvironment.exit_code
    said = capsys.readouterr().err
    assert "Did you mean relay" in said
    assert "23 of smac, 15 of smacv2 (`heliograph environments` lists all)" in said


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.settings])
def test_a_name_stands_for_parameters_that_its_settings_accept(name: str) -> None:
    entry = CATALOGUE[name]
    settings = resolve(pkgutil.resolve_name(entry.settings), entry.defaults, source=name)
    assert entry.defaults.items() <= settings.model_dump(mode="json").items()


def test_smac_is_never_what_pypi_calls_smac() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    required = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    assert not [requirement for requirement in required if requirement.startswith("smac")]
    assert all("install smac " not in row.install for row in registry.known())
