"""What `benchmarks/mutants.py` makes of tests that notice a mistake, do not, fail by themselves, or never end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mutated_tree import Tree
from mutations import Mutation, mutations

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

SOURCE = (
    "def counted(most: int) -> int:\n    count = 0\n    while count < most:\n        count += 1\n    return count\n"
)
IMPORTS = "from counting import counted\n"
NOTICES = IMPORTS + "def test_counts() -> None:\n    assert counted(3) == 3\n"
NOTICES_NOTHING = IMPORTS + "def test_is_called() -> None:\n    counted(3)\n"
FAILS_BY_ITSELF = (
    "import pathlib\n"
    "def test_of_the_weather() -> None:\n"
    "    rain = pathlib.Path('rain')\n"
    "    if not rain.exists():\n"
    "        rain.touch()\n"
    "        raise AssertionError\n"
)


@pytest.fixture(autouse=True)
def _plain_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all plugins that are installed, which take a second to load, tests of a tree need the one of `--timeout`."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p pytest_timeout")


def tree(folder: Path, **tests: str) -> tuple[Tree, list[str]]:
    (folder / "counting.py").write_text(SOURCE)
    (folder / "tests").mkdir()
    for name, text in tests.items():
        (folder / f"tests/test_{name}.py").write_text(text)
    return Tree(folder=folder, budget_s=60, test_budget_s=2), [f"tests/test_{name}.py" for name in tests]


def mistake(operator: str) -> Mutation:
    return next(each for each in mutations(SOURCE) if each.operator == operator)


def test_a_mistake_is_noticed_by_the_test_that_fails_for_it_alone(tmp_path: Path) -> None:
    made, tests = tree(tmp_path, nothing=NOTICES_NOTHING, weather=FAILS_BY_ITSELF, counts=NOTICES)
    found = made.verdict("counting.py", mistake("comparison"), tests)
    assert (found["status"], found["killed_by"]) == ("killed", "tests/test_counts.py::test_counts")
    assert (tmp_path / "rain").exists()
    assert (tmp_path / "counting.py").read_text() == SOURCE


def test_tests_that_never_end_have_noticed(tmp_path: Path) -> None:
    made, tests = tree(tmp_path, nothing=NOTICES_NOTHING)
    found = made.verdict("counting.py", mistake("statement dropped"), tests)
    assert (found["status"], found["killed_by"]) == ("killed", "tests/test_nothing.py::test_is_called")


def test_what_no_test_notices_has_survived_and_what_fails_anyhow_says_nothing(tmp_path: Path) -> None:
    fails = "def test_of_something_else() -> None:\n    raise AssertionError\n"
    made, tests = tree(tmp_path, other=fails, nothing=NOTICES_NOTHING)
    assert made.verdict("counting.py", mistake("comparison"), tests)["status"] == "survived"


def test_tests_that_do_not_come_to_an_end_in_all_their_time_are_cut(tmp_path: Path) -> None:
    made, tests = tree(tmp_path, nothing=NOTICES_NOTHING)
    made.budget_s, made.test_budget_s = 1, 60
    assert made.verdict("counting.py", mistake("statement dropped"), tests)["status"] == "cut"
