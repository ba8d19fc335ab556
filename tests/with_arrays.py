"""Prints the files of tests of some folders that have to do with numpy: what `make test-numpy2` runs of them.

    python tests/with_arrays.py tests/heliograph tests/coordinator

That is a file that imports numpy, or a module of the project or of `tests/` that does, or one that imports such a
module.  The others are about connections, certificates, texts and settings.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = (ROOT, ROOT / "tests")
STEPS = 2


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules that a file names in its imports, and the names it takes from them, which may be modules."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(found)


@cache
def file_of(module: str) -> Path | None:
    """Where a module of the project or of the tests is; None for any other."""
    beneath = module.replace(".", "/")
    files = (place / name for place in PLACES for name in (f"{beneath}.py", f"{beneath}/__init__.py"))
    return next((file for file in files if file.is_file()), None)


@cache
def has_to_do_with_numpy(path: Path, steps: int = STEPS) -> bool:
    names = imported(path)
    if any(name.partition(".")[0] == "numpy" for name in names):
        return True
    files = {
        path.with_name(f"{name}.py") if path.with_name(f"{name}.py").is_file() else file_of(name) for name in names
    }
    return steps > 0 and any(has_to_do_with_numpy(file, steps - 1) for file in files if file is not None)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        print(
            *(path for path in sorted(Path(folder).glob("test_*.py")) if has_to_do_with_numpy(path.resolve())), sep="\n"
        )
