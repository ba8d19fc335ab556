"""Does every dependency of the base, and of extras, come as a wheel wherever it says that it can be installed?

    python tests/released/try_resolving.py                         # the base, all platforms: asks the package index
    python tests/released/try_resolving.py --extra trainer --platform linux-aarch64 --python 3.14

For each platform and Python, pip resolves the dependencies with wheels alone and installs nothing.  Prints the table of
docs/guides/machines.md; the exit code is 1 if a cell is empty.  Markers of the project's own dependencies are evaluated
for the platform; those within dependencies are pip's business, which evaluates them for the machine that it runs on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "linux-x86_64": (
        "linux",
        [f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)] + ["manylinux2014_x86_64"],
    ),
    "linux-aarch64": (
        "linux",
        [f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1)] + ["manylinux2014_aarch64"],
    ),
    "macos-arm64": ("darwin", [f"macosx_{major}_0_arm64" for major in range(14, 10, -1)] + ["macosx_11_0_universal2"]),
    "windows-amd64": ("win32", ["win_amd64"]),
}
"""By name: what `sys.platform` is there, and the tags of the wheels that fit, newest first (glibc 2.28, macOS 14)."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", default="", help="an extra, beside the base")
    parser.add_argument("--platform", action="append", choices=PLATFORMS, help="these alone")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="these alone")
    given = parser.parse_args(arguments)
    pythons, platforms = given.python or list(PYTHONS), given.platform or list(PLATFORMS)
    print(f"| platform | {' | '.join(f'Python {python}' for python in pythons)} |")
    print(f"|---|{'---|' * len(pythons)}")
    refusals = []
    for platform in platforms:
        cells = []
        for python in pythons:
            packages, refusal = resolved(requirements(given.extra, platform, python), platform, python)
            cells.append(f"{packages} wheels" if not refusal else "none")
            refusals += [f"{platform}, Python {python}: {refusal}"] if refusal else []
        print(f"| {platform} | {' | '.join(cells)} |", flush=True)
    print(*refusals, sep="\n", file=sys.stderr)
    return 1 if refusals else 0


def requirements(extra: str, platform: str, python: str) -> list[str]:
    """The project's dependencies there, without markers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    there = {"sys_platform": PLATFORMS[platform][0], "python_version": python, "extra": extra}
    found = []
    for requirement in map(Requirement, declared):
        if requirement.marker is None or requirement.marker.evaluate(there):
            requirement.marker = None
            found.append(str(requirement))
    return found


def resolved(wanted: list[str], platform: str, python: str) -> tuple[int, str]:
    """How many wheels pip would install there, or why it cannot."""
    tags = [argument for tag in PLATFORMS[platform][1] for argument in ("--platform", tag)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"),
            *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *tags),
            *("--target", folder, "--report", str(report), *wanted),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            return 0, errors[-1] if errors else done.stderr[-500:]
        return len(json.loads(report.read_text())["install"]), ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
