"""Every world draws its first copy unless it is told which; read in the source, since simulators are not all there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import heliograph.environments

FOLDER = Path(heliograph.environments.__file__).parent


def defaults() -> dict[str, object]:
    """By place, what `copy` is if `render` is not told."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "render" and len(node.args.args) == 2:
                assert node.args.args[1].arg == "copy"
                found[str(path.relative_to(FOLDER))] = ast.literal_eval(node.args.defaults[0])
    return found


def test_all_worlds_that_draw_are_looked_at() -> None:
    assert {"vector.py", "relay.py", "smax/environment.py", "flatland/environment.py"} < defaults().keys()


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted(defaults()))
def test_the_first_copy_is_drawn_unless_one_says_which(place: str) -> None:
    assert defaults()[place] == 0
