"""A copy of the working tree in which one file at a time is wrong, and what its tests say.  Used by `mutants.py`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import own_time
from mutations import Mutation

FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\S+)?)", re.MULTILINE)
"""In pytest's short summary; what stands in brackets may hold blanks and is cut there."""
STARTED = re.compile(r"^(tests/\S+?\.py::\S+)", re.MULTILINE)
"""A test's name at the start of a line, which pytest ends with the outcome."""
FLAKES = 3
"""So many tests that fail by themselves are gone round before a mistake is given up as `unsure`."""


@dataclass(kw_only=True)
class Tree:
    """A copy of the working tree, in which one file at a time is wrong."""

    folder: Path
    budget_s: float
    """For the tests of one mistake, in time of their own (`own_time.py`)."""
    test_budget_s: float
    """For each of them."""
    fast: bool = False
    """Without the slow tests."""

    @classmethod
    def copied(cls, root: Path, folder: Path, **how: Any) -> Tree:
        names = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        for name in filter(None, names):
            if (root / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, folder / name)
        return cls(folder=folder, **how)

    def verdict(self, path: str, mutation: Mutation, tests: list[str]) -> dict[str, Any]:
        """What the tests say about one mistake.

        A test has noticed it if it fails with the mistake, passes without it and fails with it once more, one straight
        after the other: on a machine that was busy for a moment, or with a test that fails by itself, it does not.
        """
        flakes: list[str] = []
        while True:
            status, output, took_s = self._run_with(path, mutation, [*tests, *_without(flakes)])
            if status != "failed":
                found, killer = {"passed": "survived"}.get(status, status), None
                break
            killer = _failed(output) or tests[0]
            if self._run([killer])[0] == "passed" and self._run_with(path, mutation, [killer])[0] == "failed":
                found = "killed"
                break
            flakes.append(killer)
            if len(flakes) > FLAKES:
                found, killer = "unsure", None
                break
        return {
            "status": found,
            "killed_by": killer,
            "said": output[-1500:] if found in ("cut", "unsure") else None,
            "tests": tests,
            "seconds": round(took_s, 1),
        }

    def _run_with(self, path: str, mutation: Mutation, tests: list[str]) -> tuple[str, str, float]:
        with self._mistaken(self.folder / path, mutation):
            return self._run(tests)

    def _run(self, tests: list[str]) -> tuple[str, str, float]:
        """What became of them (passed, failed, or cut), what pytest wrote, and the time of their own that they took."""
        options = ["-x", "-v", "--tb=line", "--timeout=0", "-p", "no:cacheprovider"]
        if self.fast:
            options += ["-m", "not slow"]
        environment = os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        output = self.folder / "mutants-output.txt"
        ended = own_time.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.folder,
            environment=environment,
            output=output,
            budget_s=self.budget_s,
            step=lambda: _current(output.read_text(errors="replace")),
            step_budget_s=self.test_budget_s,
        )
        text = output.read_text(errors="replace")
        if ended.status is None:
            # What goes on and on has noticed something; what had no time left for all tests has not.
            return ("cut" if ended.why == "budget" else "failed"), text, ended.own_s
        # 5: all of them were skipped, so nothing looked at the mistake.
        return ("passed" if ended.status in (0, 5) else "failed"), text, ended.own_s

    @contextlib.contextmanager
    def _mistaken(self, file: Path, mutation: Mutation) -> Iterator[None]:
        source = file.read_text()
        try:
            _write(file, mutation.applied(source))
            yield
        finally:
            _write(file, source)


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # Two mistakes of one length within one second would look the same to the interpreter.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)


def _failed(output: str) -> str | None:
    """The test that failed; the one that was busy where pytest did not come to say so."""
    named = FAILED.findall(output)
    return (named[0] if named else _current(output) or "").partition("[")[0] or None


def _current(output: str) -> str:
    started = STARTED.findall(output)
    return started[-1] if started else ""


def _without(tests: list[str]) -> list[str]:
    return [part for test in tests for part in ("--deselect", test)]
