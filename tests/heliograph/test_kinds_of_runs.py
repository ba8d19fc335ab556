"""Runs of one algorithm are told apart by what they were trained with, and not by their seed or length."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.run_settings import differing, kind_of_run, names_of_kinds

SETTINGS: dict[str, Any] = {
    "algorithm": "mamba",
    "seed": 3,
    "device": "auto",
    "environment": {"id": "relay", "parameters": {"agents": 3}, "copies": 16, "workers": 2},
    "schedule": {"env_steps": 100, "steps_per_iteration": 20},
    "evaluation": {"episodes": 8, "seed": 5},
    "mamba": {"model": {"hidden": 64, "recurrent": 64}, "policy": {"hidden": 64}},
}


def kind(**changes: Any) -> dict[str, Any]:
    found = kind_of_run(SETTINGS)
    return {**found, **{name.replace("__", "."): value for name, value in changes.items()}}


def test_a_kind_is_what_seeds_have_in_common() -> None:
    assert kind_of_run(SETTINGS) == {
        "algorithm": "mamba",
        "environment.copies": 16,
        "schedule.steps_per_iteration": 20,
        "mamba.model.hidden": 64,
        "mamba.model.recurrent": 64,
        "mamba.policy.hidden": 64,
    }


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        ([], []),
        ([kind(), kind()], ["", ""]),
        ([kind(), kind(environment__copies=8), kind()], ["copies=16", "copies=8", "copies=16"]),
        (
            [kind(mamba__model__hidden=32), kind(mamba__policy__hidden=32)],
            [
                "mamba.model.hidden=32, mamba.policy.hidden=64",
                "mamba.model.hidden=64, mamba.policy.hidden=32",
            ],
        ),
        ([kind(), {}], ["", "settings unknown"]),
        ([{}, {}], ["", ""]),
        ([kind(), kind(newer=1)], ["", ""]),
    ],
    ids=["none", "alike", "one setting", "two of one name", "of bundles", "of bundles alone", "of a newer version"],
)
def test_names_tell_kinds_apart_and_nothing_else(kinds: list[dict[str, Any]], names: list[str]) -> None:
    assert names_of_kinds(kinds) == names


def test_kinds_that_are_named_alike_are_counted() -> None:
    first, second = (dict.fromkeys("abcd", value) for value in (1, 2))
    third = first | {"d": 7}
    assert differing([first, second, third]) == ["a", "b", "c", "d"]
    assert names_of_kinds([first, second, third, first]) == [
        "a=1, b=1, c=1 and 1 more",
        "a=2, b=2, c=2 and 1 more",
        "a=1, b=1, c=1 and 1 more (2)",
        "a=1, b=1, c=1 and 1 more",
    ]
