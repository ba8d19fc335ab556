"""Builds wheel and sdist, installs both with each Python that is named, outside the checkout, and tries them there.

    make test-release                                       # the oldest and the newest that pyproject.toml declares
    python tests/released/try_distribution.py PYTHON …      # any others

Each gets a virtual environment of its own with the newest allowed dependencies (with Python 3.11, those of
constraints.txt), runs `--help`, lists the environments and evaluates a released bundle team: with the wheel, and again
with what pip builds of the sdist, in the wheel's place.  What cannot be run, because there is no such interpreter, is
said in the last lines, and the exit code is then 3; it is 1 if something failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEAM = "mamba"


def declared() -> list[str]:
    """The minor versions of Python that the package says it is for, oldest first: "3.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = (each.rpartition(" :: ")[2] for each in project["classifiers"] if " :: Python :: 3." in each)
    return sorted(versions, key=lambda version: int(version.partition(".")[2]))


def main(pythons: list[str]) -> int:
    if not pythons:
        pythons = [f"python{version}" for version in (declared()[0], declared()[-1])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel, sdist = build(folder)
        print(f"built {wheel.name} and {sdist.name}")
        with tarfile.open(next((ROOT / "tests" / "released").glob("*.tar.xz"))) as archive:
            archive.extractall(folder / "left", filter="data")
        team = next((folder / "left").glob(f"*/teams/{TEAM}"))
        verdicts = {
            python: tried(python, wheel, sdist, team, folder / f"with-{Path(python).name}") for python in pythons
        }
    for python, verdict in verdicts.items():
        print(f"{python}: {verdict}")
    if any(verdict.startswith("FAILED") for verdict in verdicts.values()):
        return 1
    return 3 if any(verdict.startswith("NOT TRIED") for verdict in verdicts.values()) else 0


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist of the files that git knows, made in `folder` by the installed setuptools."""
    tree = folder / "tree"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    for what in ("sdist", "wheel"):
        program = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", program, folder], cwd=tree, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def tried(python: str, wheel: Path, sdist: Path, team: Path, folder: Path) -> str:
    """What came of it with one interpreter, as a verdict."""
    version = None if shutil.which(python) is None else version_of(python)
    if version is None:
        return "NOT TRIED, there is no such interpreter here"
    environment = folder / "environment"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    pip, command = environment / "bin" / "pip", environment / "bin" / "heliograph"
    # That file pins what has no wheels for later versions of Python.
    constraints = ["--constraint", ROOT / "constraints.txt"] if version == (3, 11) else []
    trial = ([command, "--help"], [command, "environments"], [command, "evaluate", team, "--episodes", "4"])
    for origin, arguments in (
        (wheel, [python, "-m", "venv", environment]),
        (wheel, [pip, "install", "--quiet", *constraints, wheel]),
        *((wheel, arguments) for arguments in trial),
        (sdist, [pip, "uninstall", "--quiet", "--yes", "heliograph"]),
        (sdist, [pip, "install", "--quiet", "setuptools>=77"]),
        (sdist, [pip, "install", "--quiet", "--no-deps", "--no-build-isolation", sdist]),
        *((sdist, arguments) for arguments in trial),
    ):
        folder.mkdir(exist_ok=True)
        done = subprocess.run(list(map(str, arguments)), cwd=folder, env=own, capture_output=True, text=True)
        if done.returncode:
            said = f"{Path(arguments[0]).name} {arguments[1]} ended with {done.returncode}: {done.stderr[-2000:]}"
            return f"FAILED, with {origin.name}: {said}"
    return f"works, wheel and sdist, Python {'.'.join(map(str, version))}"


def version_of(python: str) -> tuple[int, ...] | None:
    """None if nothing answers: what manages several versions leaves commands for those that are not at hand, too."""
    program = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
