"""What a file may give an environment, and that no text of a settings class is left undecided."""

from __future__ import annotations

import argparse
import pkgutil
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.environments import registry
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.permission import CATALOGUE_ONLY, EVERYTHING, Permission, flags_for
from heliograph.errors import EnvironmentUntrusted, UnknownEnvironment
from heliograph.settings import Settings, Text, is_closed, texts_of_the_user
from trainer.algorithms.registry import ALGORITHMS
from trainer.training.settings import settings_class

SPREAD = "mpe2.simple_spread_v3"


@pytest.mark.parametrize(
    ("environment", "parameters"),
    [
        ("relay", {"agents": 3, "hears": "ring", "observation_noise": 0.1}),
        ("relay", {"agents": "os:system"}),  # refused by its settings, which know no such number
        ("smac-3m", {"replay_dir": "", "map": "8m", "save_replay_every": 2}),
        ("mamujoco", {"agent_conf": "2x4"}),
        (SPREAD, {"N": 2, "continuous_actions": True, "sizes": [1, [2.5, None]], "render_mode": "rgb_array"}),
    ],
)
def test_numbers_switches_and_choices_need_no_permission(environment: str, parameters: dict[str, Any]) -> None:
    registry.check(environment, parameters, CATALOGUE_ONLY)
    assert flags_for(environment, parameters) == ""


@pytest.mark.parametrize(
    ("environment", "parameters"),
    [
        ("smac-3m", {"replay_dir": "/etc"}),
        (SPREAD, {"render_mode": "human"}),
        (SPREAD, {"log": 'it\'s "here" = $HOME\\n'}),
        (SPREAD, {"names": ["a", "b"], "table": {"a b": {"c": [1, "d"]}}}),
        ("my.env:make", {}),
        ("my.env:make", {"step_limit": 7, "where": "ünïcode"}),
    ],
)
def test_a_refusal_names_the_flags_that_allow_exactly_this(environment: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(EnvironmentUntrusted) as caught:
        registry.check(environment, parameters, CATALOGUE_ONLY.of("settings.json"))
    assert caught.value.message.startswith("settings.json ")
    flags = flags_for(environment, parameters)
    assert caught.value.remedy == f"If you trust it, add {flags}"
    permission = permission_of(_parsed(flags))
    registry.check(environment, parameters, permission)
    for changed in (
        *({name: "other"} for name in parameters),
        *([{"more": "text"}] if environment != "smac-3m" else []),
    ):
        with pytest.raises(EnvironmentUntrusted):
            registry.check(environment, {**parameters, **changed}, permission)


@pytest.mark.parametrize("parameters", [{"a.b": "c"}, {"": "c"}, {"a": "\x9b2J"}, {"a": {"b": None, "c": "d"}}])
def test_what_no_flag_can_say_is_left_to_signatures(parameters: dict[str, Any]) -> None:
    assert flags_for(SPREAD, parameters) == ""
    with pytest.raises(EnvironmentUntrusted, match="sign the bundles") as caught:
        registry.check(SPREAD, parameters, CATALOGUE_ONLY)
    assert str(caught.value).isprintable()
    registry.check(SPREAD, parameters, EVERYTHING)


@pytest.mark.parametrize(
    "name", ["nowhere", "", "a b:c", "os:system()", "../evil.env", "a.b:c:d", "a.\x1b[2Jb", "a..b"]
)
def test_what_is_no_import_path_is_never_asked_for(name: str) -> None:
    for permission in (CATALOGUE_ONLY, EVERYTHING, Permission.of_user([name])):
        with pytest.raises(UnknownEnvironment):
            registry.check(name, {}, permission)


def test_overrides_of_training_settings_name_what_they_hold() -> None:
    named = Permission().also_in_settings(
        ['environment.id="my.env:make"', 'environment.parameters={where="here"}', "environment.parameters.deep.er=x"]
    )
    registry.check("my.env:make", {"where": "here", "deep": {"er": "x"}}, named)
    for parameters in ({"where": "there"}, {"deep": {"er": "x", "and": "y"}}):
        with pytest.raises(EnvironmentUntrusted):
            registry.check("my.env:make", parameters, named)
    assert Permission().also_in_settings(["environment=7", "seed=3"]) == Permission()


def test_every_text_of_a_settings_class_says_whether_a_file_may_give_it() -> None:
    classes = {pkgutil.resolve_name(entry.settings) for entry in CATALOGUE.values() if entry.settings}
    sections = {each for name in ALGORITHMS for each in _with_sections(settings_class(name))}
    undecided = [
        f"{model.__name__}.{name}"
        for model in (*classes, *sections)
        for name, field in model.model_fields.items()
        if not (is_closed(field.annotation) or _is_section(field.annotation))
        and sum(isinstance(mark, Text) for mark in field.metadata) != 1
    ]
    assert not undecided, "mark them with heliograph.settings.Text"
    assert texts_of_the_user(pkgutil.resolve_name(CATALOGUE["smac-3m"].settings)) == {"replay_dir"}


def test_a_text_without_a_mark_counts_as_the_users() -> None:
    class Careless(Settings):
        size: int | None = 3
        where: str = ""
        anything: Any = None

    assert texts_of_the_user(Careless) == {"where", "anything"}


def _parsed(flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_permission_arguments(parser)
    return parser.parse_args(shlex.split(flags))


def _with_sections(model: type[Settings]) -> Iterator[type[Settings]]:
    yield model
    for field in model.model_fields.values():
        if _is_section(field.annotation):
            yield from _with_sections(field.annotation)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)
