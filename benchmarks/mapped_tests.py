"""Which test files could notice a mistake in a module, the likeliest first.  Used by `mutants.py`.

A file reaches a module through imports, through strings that name a module ("coordinator.commands.serve:COMMAND") and
through names of commands, over as many files as it takes.  The fewer, the nearer; a file that bears the module's name
and one in the folder that mirrors its package are nearer still, real processes and learning farther.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

PACKAGES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
LEFT_OUT = ("docker", "netns", "deploy")
"""Folders of tests that need an engine, root or a cluster."""
UNREACHED = 4
"""The distance of a file that bears a module's name and yet names it nowhere: it may load it by an entry point."""
SLOW_FOLDERS = ("process", "equivalence")
SLOW_WORDS = ("learning", "processes", "soak", "preset", "train_command")


class TestMap:
    """Of one checkout."""

    __test__ = False  # nothing to collect

    def __init__(self, root: Path) -> None:
        self.root = root
        project = tomllib.loads((root / "pyproject.toml").read_text())
        self._commands: dict[str, str] = project["project"]["entry-points"]["heliograph.commands"]

    def nearest(self, path: str) -> list[str]:
        """Test files that reach a file of a package, as paths relative to the root."""
        module = _module(Path(path))
        ranked = []
        for test, distances in self._distances.items():
            named = _is_named_after(test, Path(path))
            if module in distances or named:
                ranked.append((self._rank(test, path, distances.get(module, UNREACHED), named=named), test))
        return [test for _, test in sorted(ranked)]

    def _rank(self, test: str, path: str, distance: int, *, named: bool) -> tuple[float, int, str]:
        stem, module = Path(test).stem.removeprefix("test_"), Path(path)
        rank = float(distance)
        rank -= 1.5 * named
        rank += 0.5 * (Path(test).parts[1] != module.parts[0])
        rank += 2.0 * (Path(test).parts[1] in SLOW_FOLDERS) + 2.0 * any(word in stem for word in SLOW_WORDS)
        return rank, len(self._distances[test]), test

    @cached_property
    def _distances(self) -> dict[str, dict[str, int]]:
        """By test file, the modules that it reaches and over how many files."""
        files = {_module(path): path for path in self._files()}
        edges = {module: sorted(set(self._named(path)) & set(files)) for module, path in files.items()}
        tests = {module: path for module, path in files.items() if path.name.startswith("test_")}
        return {str(path): _distances(edges, module) for module, path in tests.items()}

    def _files(self) -> Iterator[Path]:
        for folder in (*PACKAGES, "tests", "examples", "benchmarks"):
            for path in sorted((self.root / folder).rglob("*.py")):
                relative = path.relative_to(self.root)
                if not any(part in LEFT_OUT for part in relative.parts[1:2]):
                    yield relative

    def _named(self, path: Path) -> Iterator[str]:
        """Modules that a file names; all that they might be."""
        is_test = path.parts[0] == "tests"
        for node in ast.walk(ast.parse((self.root / path).read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value.partition(":")[0]
                if is_test and node.value in self._commands:
                    yield self._commands[node.value].partition(":")[0]


def _is_named_after(test: str, module: Path) -> bool:
    """Whether a test file bears the name of a module or of its package."""
    stem = Path(test).stem.removeprefix("test_")
    return any(word in stem for word in (module.stem, module.stem.removesuffix("s"), module.parent.name))


def _module(path: Path) -> str:
    """As it is imported: files of tests, examples and benchmarks by their stem."""
    if path.parts[0] in PACKAGES:
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return path.stem


def _distances(edges: dict[str, list[str]], start: str) -> dict[str, int]:
    distances, border = {start: 0}, [start]
    while border:
        following = []
        for module in border:
            for other in edges[module]:
                if other not in distances:
                    distances[other] = distances[module] + 1
                    following.append(other)
        border = following
    return distances
