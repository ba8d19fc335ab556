"""Another distribution's `trainer` before this project's: said by name, never run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

import heliograph as heliograph_package
from heliograph import foreign_packages
from heliograph.doctor import packages


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages, with a distribution whose package has the name of one of ours."""
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("raise SystemExit('another distribution ran')\n")
    information = tmp_path / "coach-1.2.3.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: coach\nVersion: 1.2.3\n")
    (information / "RECORD").write_text("trainer/__init__.py,,\n")
    (information / "top_level.txt").write_text("trainer\n")
    return tmp_path


def heliograph(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "heliograph", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_command_whose_package_is_hidden_says_who_hides_it(site: Path) -> None:
    done = heliograph(site, "train", "--preset", "relay")
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "coach 1.2.3" in done.stderr
    assert str(site / "trainer") in done.stderr
    assert "pip uninstall coach" in done.stderr
    help_of_all = heliograph(site, "--help")
    assert help_of_all.returncode == 0
    assert "without dream, export, train, for Python finds another package trainer" in help_of_all.stderr
    assert "evaluate" in help_of_all.stdout


@pytest.mark.slow
def test_other_commands_say_nothing_of_it(site: Path) -> None:
    done = heliograph(site, "environments")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_doctor_reports_it(site: Path) -> None:
    done = heliograph(site, "doctor", "base", "--json")
    assert done.returncode == 1, done.stderr
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["base"]["findings"]}
    assert findings["package trainer"]["state"] == "wrong"
    assert "coach 1.2.3" in findings["package trainer"]["detail"]
    assert [name for name in findings if name.startswith("package ")] == ["package trainer"]


def test_a_public_function_says_it_too(site: Path) -> None:
    program = "import heliograph\ntry: heliograph.train\nexcept heliograph.errors.MissingExtra as error: print(error)"
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, cwd=site, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("heliograph.train is not there: Python finds another package trainer"), done


@pytest.mark.slow
def test_a_folder_of_nobody_is_to_be_renamed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "coach-1.2.3.dist-info" / "RECORD").write_text("")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "trainer", raising=False)
    found = foreign_packages.foreign("trainer")
    assert found is not None
    assert found.distribution == ""
    assert found.remedy.startswith(f"Rename {site / 'trainer'}")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which this project was installed, and then another distribution over one of its packages."""
    ours = Path(heliograph_package.__file__).parent
    shutil.copytree(ours, tmp_path / "heliograph")  # with what Python has compiled
    (tmp_path / "trainer").mkdir()
    first = tmp_path / "trainer" / "__init__.py"
    first.write_text("raise ModuleNotFoundError('another distribution ran', name='torch')\n")
    for name, entry in (("heliograph-0.1.0", f"sha256={'0' * 43},99"), ("coach-1.2.3", "sha256=unknown,68")):
        information = tmp_path / f"{name}.dist-info"
        information.mkdir()
        package, _, version = name.partition("-")
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Python: >=3.11\n"
        )
        (information / "RECORD").write_text(f"trainer/__init__.py,{entry}\n")
        (information / "top_level.txt").write_text("trainer\n")
    (tmp_path / "heliograph-0.1.0.dist-info" / "entry_points.txt").write_text(
        "[heliograph.commands]\ntrain = trainer.commands.train:COMMAND\n"
        "doctor = heliograph.doctor.command:COMMAND\n[heliograph.api]\ntrain = trainer.api:train\n"
    )
    return tmp_path


def test_a_command_whose_package_was_written_over_says_by_whom(shared: Path) -> None:
    done = heliograph(shared, "train", "--preset", "relay")
    assert done.returncode == 5
    assert done.stderr.startswith(
        f"heliograph train: coach 1.2.3 has written over this project's package trainer: {shared / 'trainer'}. "
    )
    assert done.stderr.count("\n") == 1
    assert "pip uninstall coach" in done.stderr
    assert "--force-reinstall" in done.stderr
    assert "without train, for coach 1.2.3 has written over" in heliograph(shared, "--help").stderr


@pytest.mark.slow
def test_the_doctor_reports_what_was_written_over(shared: Path) -> None:
    done = heliograph(shared, "doctor", "base", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["base"]["findings"]}
    found = findings["package trainer"]
    assert found["state"] == "wrong"
    assert found["detail"].startswith("coach 1.2.3 has written over this project's package trainer")
    assert "--force-reinstall" in found["remedy"]


@pytest.mark.slow
def test_what_its_installer_wrote_and_what_a_user_has_changed_are_ours(shared: Path) -> None:
    first = shared / "trainer" / "__init__.py"
    digest = urlsafe_b64encode(sha256(first.read_bytes()).digest()).rstrip(b"=").decode()
    theirs, ours = shared / "coach-1.2.3.dist-info" / "RECORD", shared / "heliograph-0.1.0.dist-info" / "RECORD"
    recorded, untouched = ours.read_text(), f"trainer/__init__.py,sha256={digest},68\n"
    for our_lines, their_lines in ((untouched, theirs.read_text()), (recorded, "")):
        ours.write_text(our_lines)
        theirs.write_text(their_lines)
        assert "written over" not in heliograph(shared, "--help").stderr


def test_two_distributions_in_one_folder_are_found_by_what_they_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"analysis": ["heliograph", "numpy"]})
    (finding,) = packages.examine_names()
    assert finding.name == "package analysis"
    assert finding.state == "wrong"
    assert f"numpy {importlib.metadata.version('numpy')}" in finding.detail
    assert "--force-reinstall" in finding.remedy
