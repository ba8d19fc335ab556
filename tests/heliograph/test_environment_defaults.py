"""Which parameters make another task of an environment: those that differ from what its name stands for."""

from __future__ import annotations

import pytest

from heliograph.environments.defaults import changed_parameters
from heliograph.environments.registry import make
from heliograph.errors import SettingsError


@pytest.mark.parametrize("identity", ["relay", "relay-signal"])
def test_the_parameters_of_an_environment_as_its_name_makes_it_are_no_change(identity: str):
    spec = make(identity, count=1).spec
    assert changed_parameters(identity, spec.parameters) == {}
    assert changed_parameters(identity, {}) == {}


@pytest.mark.parametrize(
    ("identity", "given", "changed"),
    [
        ("relay", {"agents": 3, "hears": "all"}, {"agents": 3}),
        ("flatland-10", {"agents": 10, "cities": 5}, {"cities": 5}),
        ("my_package.my_env:make", {"size": 3}, {"size": 3}),
    ],
)
def test_what_differs_is_named(identity: str, given: dict, changed: dict):
    assert changed_parameters(identity, given) == changed


def test_a_wrong_parameter_is_told():
    with pytest.raises(SettingsError, match="unknown key nonsense"):
        changed_parameters("relay", {"nonsense": 1})
