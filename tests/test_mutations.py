"""The mistakes that `benchmarks/mutants.py` makes: which there are, where none are, and that each is one."""

from __future__ import annotations

from mutations import Mutation, is_real, mutations

SOURCE = '''"""Doc 1."""

import logging

_log = logging.getLogger(__name__)
LIMIT: int = 3


class Box:
    """Doc 2."""

    items: list[int]

    def __repr__(self) -> str:
        return "box" if len(self.items) > 0 else "empty"

    def put(self, item: int, *, front: bool = False) -> None:
        """Doc 3."""
        assert item > 0
        if item in self.items and not front:
            raise ValueError(f"item {item + 1} is there", 7)
        _log.info("put %d", item + 5)
        self.items = sorted([*self.items, abs(item)])
        self.count += 1

    def best(self) -> int:
        return -max(self.items)
'''


def changes(source: str = SOURCE) -> set[tuple[str, str, str]]:
    return {(each.operator, each.original, each.mutated) for each in mutations(source)}


def test_every_kind_of_mistake_is_found_where_something_runs() -> None:
    found = changes()
    for expected in (
        ("off by one", "3", "4"),
        ("truth value", "False", "True"),
        ("comparison", "item in self.items", "item not in self.items"),
        ("and, or", "item in self.items and not front", "(item in self.items or not front)"),
        ("not dropped", "not front", "(front)"),
        ("sort dropped", "sorted([*self.items, abs(item)])", "list([*self.items, abs(item)])"),
        ("absolute value dropped", "abs(item)", "(item)"),
        ("statement dropped", "self.count += 1", "pass"),
        ("sign", "self.count += 1", "self.count -= 1"),
        ("sign", "-max(self.items)", "(max(self.items))"),
        ("extreme", "max", "min"),
        ("early return", "", "return\n        "),
    ):
        assert expected in found
    assert ("statement dropped", 'raise ValueError(f"item {item + 1} is there", 7)', "pass") in found


def test_what_speaks_or_declares_is_left_alone() -> None:
    touched = {(each.original, each.line) for each in mutations(SOURCE)}
    text = SOURCE.splitlines()
    for part in ("__repr__", 'return "box"', "assert item", "_log.info", "items: list"):
        line = 1 + next(number for number, row in enumerate(text) if part in row)
        assert line not in {number for original, number in touched if original}, part
    assert not {original for original, _ in touched} & {"7", "item + 1", "item + 5"}


def test_each_is_real_or_said_not_to_be_and_changes_its_own_place() -> None:
    for mutation in mutations(SOURCE):
        assert is_real(mutation, SOURCE)
        changed = mutation.applied(SOURCE)
        assert changed != SOURCE
        assert changed.startswith(SOURCE[: mutation.start])
        assert SOURCE.encode()[mutation.start : mutation.end].decode() == mutation.original
    nothing = Mutation(line=1, function="", operator="sign", original="x", mutated="x", nth=0, start=0, end=1)
    assert not is_real(nothing, "x = 1\n")
    broken = Mutation(line=1, function="", operator="sign", original="=", mutated="= =", nth=0, start=2, end=3)
    assert not is_real(broken, "x = 1\n")


def test_the_same_mistake_twice_in_a_function_is_told_apart_and_found_behind_other_characters() -> None:
    source = "def f(x):\n    y = 'héé'; return (x > 1) + (x > 1)\n"
    twins = [each for each in mutations(source) if each.operator == "comparison"]
    assert [each.nth for each in twins] == [0, 1]
    assert [each.applied(source) for each in twins] == [
        "def f(x):\n    y = 'héé'; return (x >= 1) + (x > 1)\n",
        "def f(x):\n    y = 'héé'; return (x > 1) + (x >= 1)\n",
    ]
