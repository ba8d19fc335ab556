"""Wheel and sdist hold everything that runs, and both work where there is no checkout.

With this interpreter and its packages; `make test-release` installs it with others, each with packages of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import try_distribution
from released_files import VERSIONS, unpacked

ROOT = Path(__file__).parents[2]
PACKAGES = ("heliograph", "agent_node", "coordinator", "trainer", "analysis")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip(f"setuptools {setuptools.__version__} cannot build this project; it takes 77 or newer")
    return try_distribution.build(tmp_path_factory.mktemp("built"))


def ours() -> set[str]:
    """Every file of the packages that git knows."""
    command = ["git", "ls-files", "-z", *PACKAGES]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == ours()
    kinds = {Path(name).suffix for name in names}
    assert {".py", ".pyi", ".toml", ".html", ".css", ".js"} <= kinds


def test_the_index_shows_a_page_whose_links_lead_somewhere(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    assert f"Classifier: Programming Language :: Python :: {try_distribution.declared()[-1]}" in metadata
    assert "# Heliograph" in metadata
    assert "](docs/" not in metadata, "a link that is right in the repository alone"
    assert "![" not in metadata
    program = (
        "import setup, pathlib; print(setup.described(pathlib.Path('README.md').read_text(), 'https://h.example/r'))"
    )
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "](https://h.example/r/raw/main/docs/processes.svg)" in shown
    assert "](https://h.example/r/blob/main/docs/getting-started.md)" in shown
    assert "](docs/" not in shown


def test_the_sdist_builds_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    program = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run([sys.executable, "-c", program, again], cwd=tree, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again / wheel.name) as other:
        assert {item.filename: item.CRC for item in one.infolist() if "RECORD" not in item.filename} == {
            item.filename: item.CRC for item in other.infolist() if "RECORD" not in item.filename
        }


def test_what_is_declared_is_what_a_release_is_tried_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the oldest on, which pip and mypy are told, each up to the newest, and both ends are tried."""
    declared = try_distribution.declared()
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["requires-python"] == f">={declared[0]}"
    assert pyproject["tool"]["mypy"]["python_version"] == declared[0]
    first = int(declared[0].removeprefix("3."))
    assert declared == [f"3.{minor}" for minor in range(first, first + len(declared))]
    said = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"Supported are Python {declared[0]} to {declared[-1]}, " in said
    tried: list[str] = []
    monkeypatch.setattr(try_distribution, "build", lambda folder: (folder / "x.whl", folder / "x.tar.gz"))
    monkeypatch.setattr(try_distribution, "tried", lambda python, *_: tried.append(python) or "works")
    command = ["make", "--no-print-directory", "--dry-run", "test-release"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (arguments,) = (
        line.partition("try_distribution.py")[2].split() for line in told.splitlines() if "try_dist" in line
    )
    assert try_distribution.main(arguments) == 0
    assert tried == [f"python{declared[0]}", f"python{declared[-1]}"]


def stand_in(folder: Path, *, refuses: str) -> Path:
    """A Python whose environments have a pip and a heliograph that tell what they are asked; one word is too much."""
    told = f"""#!/bin/sh
echo "$(basename "$0") $*" >> {folder}/told
case "$(basename "$0") $*" in *{refuses}*) echo refused >&2; exit 1;; esac
"""
    python = folder / "python3.99"
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -c ]; then echo 3 99; exit; fi\n'
        f'mkdir -p "$3/bin"; for name in pip heliograph; do cp {folder}/stand-in "$3/bin/$name"; done\n'
    )
    (folder / "stand-in").write_text(told)
    for script in (python, folder / "stand-in"):
        script.chmod(0o755)
    return python


@pytest.mark.parametrize("refuses", ["nothing-at-all", "heliograph.tar.gz", "heliograph.whl"])
def test_the_sdist_is_installed_and_tried_in_the_wheel_s_place(tmp_path: Path, refuses: str) -> None:
    wheel, sdist = tmp_path / "heliograph.whl", tmp_path / "heliograph.tar.gz"
    python = stand_in(tmp_path, refuses=refuses)
    verdict = try_distribution.tried(str(python), wheel, sdist, tmp_path / "team", tmp_path / "tried")
    told = (tmp_path / "told").read_text().splitlines()
    trial = ["heliograph --help", "heliograph environments", f"heliograph evaluate {tmp_path / 'team'} --episodes 4"]
    if refuses == wheel.name:
        assert verdict == "FAILED, with heliograph.whl: pip install ended with 1: refused\n"
        return
    assert told[1:4] == trial
    assert told[4] == "pip uninstall --quiet --yes heliograph"
    assert told[6].split()[:2] == ["pip", "install"]
    assert told[6].endswith(str(sdist))
    if refuses == sdist.name:
        assert verdict == "FAILED, with heliograph.tar.gz: pip install ended with 1: refused\n"
    else:
        assert told[7:] == trial
        assert verdict == "works, wheel and sdist, Python 3.99"


@pytest.mark.parametrize("there", [True, False], ids=["a command that starts none", "no command"])
def test_an_interpreter_that_is_not_there_is_not_tried(tmp_path: Path, there: bool) -> None:
    """A command that starts none is what is left where another version is chosen of several."""
    command = tmp_path / "python3.99"
    if there:
        command.write_text("#!/bin/sh\nexit 127\n")
        command.chmod(0o755)
    verdict = try_distribution.tried(
        str(command), tmp_path / "x.whl", tmp_path / "x.tar.gz", tmp_path, tmp_path / "tried"
    )
    assert verdict == "NOT TRIED, there is no such interpreter here"
    assert not (tmp_path / "tried").exists()


@pytest.mark.parametrize("number", [0, 1], ids=["wheel", "sdist"])
def test_it_works_outside_the_checkout(
    built: tuple[Path, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", tmp_path / "site", built[number]]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, cwd=tmp_path, env=own, check=True, timeout=240)
    team = unpacked(VERSIONS[0], tmp_path_factory) / "teams" / "mamba"

    def heliograph(*arguments: str) -> str:
        command = [sys.executable, "-m", "heliograph", *arguments]
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    program = (
        "import heliograph, trainer, coordinator.watch as w; print(heliograph.__file__, trainer.__file__, w.__file__)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(str(tmp_path / "site")) == 3
    assert "evaluate" in heliograph("--help")
    assert "relay" in heliograph("environments")
    assert "mamba-flatland-5" in heliograph("train", "--list-presets", "names")
    assert "success" in heliograph("evaluate", str(team), "--episodes", "2")
