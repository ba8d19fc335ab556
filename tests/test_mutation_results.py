"""docs/results/mutation.md and the results beside it name tests that are there, under the names that they have now."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = (RESULTS / "mutation.md").read_text()
DRAWS = sorted(path.name for path in RESULTS.glob("mutation*.json"))


@cache
def _names_in(file: str) -> frozenset[str]:
    """Names of the tests of a file, without loading it; none if there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    functions = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return name in _names_in(file)


@pytest.mark.parametrize("draw", DRAWS)
def test_what_noticed_a_mistake_is_a_test_that_is_there(draw: str) -> None:
    mutants = json.loads((RESULTS / draw).read_text())["mutants"]
    killers = {entry["number"]: entry["killed_by"] for entry in mutants if entry["status"] == "killed"}
    assert killers
    assert {number: test for number, test in killers.items() if not _is_there(test or "")} == {}
    assert not [entry["number"] for entry in mutants if entry["status"] != "killed" and entry.get("killed_by")]


def test_the_page_names_tests_and_results_that_are_there() -> None:
    named = re.findall(r"`([\w/.-]+\.py::\w+)`", PAGE)
    assert len(named) > 60
    assert [test for test in named if not _is_there(f"tests/{test}")] == []
    assert sorted(set(re.findall(r"mutation(?:-\d+)?\.json", PAGE))) == DRAWS


def test_a_test_that_is_not_there_is_seen() -> None:
    assert _is_there("tests/test_mutation_results.py::test_a_test_that_is_not_there_is_seen")
    assert not _is_there("tests/test_mutation_results.py::test_that_was_renamed")
    assert not _is_there("tests/test_that_was_moved.py::test_a_test_that_is_not_there_is_seen")
    assert not _is_there("tests/test_mutation_results.py")
