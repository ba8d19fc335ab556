"""Counts the structure of a checkout: files, lines, modules and arrows between them, circles, the longest signatures.

    python benchmarks/structure.py                      this checkout
    python benchmarks/structure.py --root ../before     another one, such as `git worktree add ../before TAG`

A *unit* of a package is a file or a folder directly inside it, and an *arrow* leads from one unit to another that it
imports, wherever in a file the import stands.  A floor is one more than the highest floor that a unit imports.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
GENERATED = ("heliograph/pb",)
LONGEST = 6
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of a package."""

    path: Path
    module: str
    lines: int
    tree: ast.Module


def sources(root: Path, package: str) -> list[Source]:
    """All files of a package but generated ones."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        name = path.relative_to(root)
        if any(name.is_relative_to(folder) for folder in GENERATED):
            continue
        found.append(source_of(root, path))
    return found


def source_of(root: Path, path: Path) -> Source:
    name, text = path.relative_to(root), path.read_text(encoding="utf-8")
    module = ".".join(name.with_suffix("").parts).removesuffix(".__init__")
    return Source(path=name, module=module, lines=len(text.splitlines()), tree=ast.parse(text))


def imported(source: Source, modules: set[str]) -> Iterator[str]:
    """The modules of this checkout that a file imports."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in modules and name != source.module)


def unit_of(module: str, package: str) -> str | None:
    """The file or folder directly inside the package that a module is in; None outside, and for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == package and len(parts) > 1 else None


def arrows(found: list[Source], package: str, modules: set[str]) -> set[tuple[str, str]]:
    """From unit to unit within a package."""
    drawn = set()
    for source in found:
        start = unit_of(source.module, package)
        ends = {unit_of(name, package) for name in imported(source, modules)}
        drawn |= {(start, end) for end in ends if start is not None and end is not None and end != start}
    return drawn


def floors(drawn: set[tuple[str, str]]) -> int | None:
    """Of the graph; None if it has a circle."""
    below: dict[str, set[str]] = {}
    for start, end in drawn:
        below.setdefault(start, set()).add(end)
    height: dict[str, int] = {}
    try:
        for unit in TopologicalSorter(below).static_order():
            height[unit] = 1 + max((height[one] for one in below.get(unit, ())), default=0)
    except CycleError:
        return None
    return max(height.values(), default=1)


def signatures(found: list[Source]) -> Iterator[tuple[int, Source, Function]]:
    """Parameters of every function, `self` and `cls` aside, its file, and itself."""
    for source in found:
        for node in ast.walk(source.tree):
            if isinstance(node, Function):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                yield sum(argument.arg not in ("self", "cls") for argument in given), source, node


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the checkout to count")
    root = parser.parse_args().root
    packages = {package: sources(root, package) for package in PACKAGES if (root / package).is_dir()}
    modules = {source.module for found in packages.values() for source in found}
    print("| package | files | lines | median file | units | floors | arrows |\n|---|---|---|---|---|---|---|")
    for package, found in packages.items():
        drawn = arrows(found, package, modules)
        units = {unit for source in found if (unit := unit_of(source.module, package)) is not None}
        median = sorted(source.lines for source in found)[len(found) // 2]
        lines = sum(source.lines for source in found)
        height = floors(drawn) or "circle"
        print(f"| {package} | {len(found)} | {lines:,} | {median} | {len(units)} | {height} | {len(drawn)} |")
    across = {
        (package, other)
        for package, found in packages.items()
        for source in found
        for name in imported(source, modules)
        if (other := name.partition(".")[0]) != package
    }
    print(f"\nbetween packages: {', '.join(f'{start} → {end}' for start, end in sorted(across))}")
    longest = sorted(
        (
            (count, f"{source.path}:{node.lineno} {node.name}")
            for found in packages.values()
            for count, source, node in signatures(found)
        ),
        reverse=True,
    )
    print(f"functions with more than {LONGEST} parameters: {sum(count > LONGEST for count, _ in longest)}; most:")
    for count, place in longest[:5]:
        print(f"  {count}  {place}")


if __name__ == "__main__":
    main()
