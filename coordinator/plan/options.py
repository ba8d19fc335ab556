"""One declaration per option: a field of a frozen dataclass, from which all the rest follows.

    message_deadline_s: float = option(1.0, "how long a node waits for messages", above=0, unit="s")

is an argument of every command that offers the class (`add_options`), is read from it (`read_options`), checked
(`check`), written into JSON (`as_json`) and described in the documentation (`table`).  Imports nothing heavy.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from heliograph.errors import SettingsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")

_OPTION, _SECTION = "option", "section"
_TYPES: Mapping[str, type] = {"int": int, "float": float, "str": str, "Path": Path}


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is declared with a field, beside its name, type and default."""

    help: str
    name: str = ""
    """In JSON, in errors and, with dashes, on the command line; empty: the field's."""
    flag: str = ""
    """On the command line, where that is another."""
    unit: str = ""
    at_least: float | None = None
    above: float | None = None
    choices: Collection[str] = ()
    off: str = ""
    """The help of the flag that says no, and `off_flag` its name; for a bool that has two flags."""
    off_flag: str = ""
    identifies: bool = True
    """Whether a run with another value is another run, whose results are not to be mixed with those of this one."""
    read: Callable[[Any], Any] = lambda value: value
    """The field's value, from that of the argument."""
    argument: Mapping[str, Any] = field(default_factory=dict)
    """Of `add_argument`, where it differs from what the field says."""

    def refusal(self, value: Any) -> str:
        """What the value must be instead; empty if it may be that."""
        numbers = [one for one in (self.at_least, self.above) if one is not None]
        if value is None or not (numbers or self.choices) or (self.choices and value in self.choices):
            return ""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        unit = f" {self.unit}" if self.unit else ""
        if self.at_least is not None and not (math.isfinite(value) and value >= self.at_least):
            return f"at least {self.at_least:g}{unit}"
        if self.above is not None and not (math.isfinite(value) and value > self.above):
            return f"more than {self.above:g}{unit}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """An option in its place."""

    field: str
    kind: str
    """Type of the field, as it is written there."""
    default: Any
    option: Option

    @property
    def name(self) -> str:
        return self.option.name or self.field

    @property
    def flag(self) -> str:
        return self.option.flag or "--" + self.name.replace("_", "-")


def option(default: Any, help: str, **declared: Any) -> Any:
    """A field of a settings class; `declared` are fields of `Option`."""
    return field(default=default, metadata={_OPTION: Option(help=help, **declared)})


def section(factory: Callable[[], Any]) -> Any:
    """A field that holds a settings class of its own, whose options stand beside those of this one."""
    return field(default_factory=factory, metadata={_SECTION: factory})


def declared_in(settings: type) -> Iterator[Declared]:
    """The options of a settings class, in the order of its fields; those of a section in its place."""
    for each in dataclasses.fields(settings):
        if _SECTION in each.metadata:
            yield from declared_in(each.metadata[_SECTION])
        elif _OPTION in each.metadata:
            kind = each.type if isinstance(each.type, str) else each.type.__name__
            yield Declared(field=each.name, kind=kind, default=each.default, option=each.metadata[_OPTION])


def add_options(
    parser: argparse._ActionsContainer,
    settings: type,
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    help: Mapping[str, str] | None = None,
) -> dict[str, argparse._ActionsContainer]:
    """Add an argument for each option; `only` and `without` name fields, and `help` has texts of this command's own.

    Returns, by field, the groups of flags of which only one may be given.
    """
    groups: dict[str, argparse._ActionsContainer] = {}
    for each in declared_in(settings):
        if each.field in without or (only is not None and each.field not in only):
            continue
        text = (help or {}).get(each.field, each.option.help)
        place, argument = parser, {"dest": each.name, "default": each.default}
        if each.kind == "bool":
            argument["action"] = "store_true"
            if each.option.off_flag:
                place = groups[each.field] = parser.add_mutually_exclusive_group()
        else:
            argument["type"] = _TYPES.get(each.kind.removesuffix(" | None"), str)
            if each.option.choices:
                argument["choices"] = tuple(each.option.choices)
            if each.option.unit:
                argument["metavar"] = each.option.unit.upper()
        place.add_argument(each.flag, **(argument | {"help": text} | dict(each.option.argument)))
        if each.option.off_flag:
            off = argument | {"action": "store_false", "help": each.option.off}
            place.add_argument(each.option.off_flag, **off)
    return groups


def read_options(namespace: argparse.Namespace, settings: type[Settings], **given: Any) -> Settings:
    """The settings that the arguments ask for; what a command does not offer has its default, unless it is `given`.

    Raises SettingsError for a value that cannot be.
    """
    values = dict(given)
    for each in dataclasses.fields(settings):
        if each.name in given:
            continue
        if _SECTION in each.metadata:
            values[each.name] = read_options(namespace, each.metadata[_SECTION])
        elif _OPTION in each.metadata:
            declared: Option = each.metadata[_OPTION]
            name = declared.name or each.name
            if hasattr(namespace, name):
                values[each.name] = declared.read(getattr(namespace, name))
    return settings(**values)


def check(settings: Any) -> None:
    """Raise SettingsError if a value is out of its bounds; for `__post_init__`."""
    for each in dataclasses.fields(settings):
        declared: Option | None = each.metadata.get(_OPTION)
        value = getattr(settings, each.name)
        if declared is not None and (wanted := declared.refusal(value)):
            raise SettingsError(f"{declared.name or each.name} must be {wanted}, not {value!r}")


def as_json(settings: Any) -> dict[str, Any]:
    """The options by name, in values that JSON keeps."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if _SECTION in each.metadata:
            found |= as_json(value)
        elif _OPTION in each.metadata:
            found[each.metadata[_OPTION].name or each.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """In values that JSON keeps."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return list(value) if isinstance(value, tuple) else str(value)


def identity(settings: Any, *, always: Collection[str] = (), without: Collection[str] = ()) -> dict[str, Any]:
    """Of `as_json`, what identifies the run: the names in `always`, and others that differ from their defaults.

    Those in `without` are left out.
    """
    values, options = as_json(settings), {each.name: each for each in declared_in(type(settings))}
    return {
        name: value
        for name, value in values.items()
        if options[name].option.identifies
        and name not in without
        and (name in always or value != _plain(options[name].default))
    }


def table(settings: type) -> str:
    """The options as a table in Markdown."""
    lines = ["| option | default | what it says |", "|---|---|---|"]
    for each in declared_in(settings):
        flags = ", ".join(f"`{flag}`" for flag in (each.flag, each.option.off_flag) if flag)
        text = "; or ".join(filter(None, [each.option.help, each.option.off]))
        lines.append(f"| {flags} | {_default(each)} | {text} |")
    return "\n".join(lines) + "\n"


def _default(declared: Declared) -> str:
    value = declared.option.argument.get("default", declared.default)
    if value is None or value == []:
        return ""
    if declared.kind == "bool":
        return f"`{declared.flag if value else declared.option.off_flag}`" if declared.option.off_flag else ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
