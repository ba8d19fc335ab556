"""Which modules a node process has imported, as its interpreter itself tells on stderr."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from heliograph.environments.catalogue import CATALOGUE

LOG_PREFIX = "import time:"

_LINE = re.compile(rf"^{LOG_PREFIX}\s*\d+ \|\s*\d+ \|\s*(\S+)$", re.MULTILINE)

FORBIDDEN = ("torch", "trainer", "coordinator", "heliograph.environments", "jax", "pysc2", "mujoco", "gymnasium")
"""What no node may import, besides the packages of the environments."""


def traced(command: list[str]) -> list[str]:
    """The command with its Python telling every import; where there is no `env`, the command alone."""
    return ["env", "PYTHONPROFILEIMPORTTIME=1", *command] if shutil.which("env") else command


def imported(log: Path) -> set[str]:
    """The modules that the interpreter named in a node's log; empty if it told none."""
    return set(_LINE.findall(log.read_text(encoding="utf-8", errors="replace")))


def forbidden_packages(environment: str) -> tuple[str, ...]:
    """What a node of a team of this environment must not import."""
    own = environment.replace(":", ".").partition(".")[0] if environment not in CATALOGUE else ""
    packages = {entry.package for entry in CATALOGUE.values()} | {own}
    return tuple(sorted({*FORBIDDEN, *packages} - {""}))


def forbidden_among(modules: set[str], packages: tuple[str, ...]) -> list[str]:
    """The forbidden packages that are among the modules, each by the first of its modules."""
    found = (
        (package, sorted(m for m in modules if m == package or m.startswith(f"{package}."))) for package in packages
    )
    return [hits[0] for _, hits in found if hits]
