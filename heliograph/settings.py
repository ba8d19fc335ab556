"""Typed settings: frozen pydantic models, TOML files and `--set key=value` overrides.

A component declares its knobs once, as a subclass of `Settings` beside its code.  Unknown keys are errors.
This module imports nothing heavy, so a command can resolve and print its settings before any framework loads.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from heliograph.errors import SettingsError
from heliograph.reading import SMALL, Unreadable, read_text
from heliograph.system_refusals import remedy_for


class Settings(BaseModel):
    """Base of every settings class: immutable, complete, and strict about unknown keys.

    Its numbers are finite: none of them means anything at infinity, and JSON, in which runs keep them, knows no other.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


SettingsT = TypeVar("SettingsT", bound=Settings)


class Text(Enum):
    """What a setting that can hold any text is for; in its annotation, as `Annotated[str, Text.OF_THE_USER]`.

    Numbers, switches and choices (`Literal`) need none of it: whatever they are, they stay within the program.
    """

    OF_A_LIST = "checked by its class, which knows every text that may be given"
    OF_THE_USER = "reaches out of the program, as a path does: it comes from the command and never from a file alone"


def texts_of_the_user(model: type[BaseModel]) -> set[str]:
    """Names of the settings that a file must not give by itself: those that can hold any text, unless OF_A_LIST."""
    return {
        name
        for name, field in model.model_fields.items()
        if not is_closed(field.annotation) and Text.OF_A_LIST not in field.metadata
    }


def is_closed(annotation: Any) -> bool:
    """Whether values of a type are numbers, switches and choices alone, or made of such."""
    if get_origin(annotation) is Annotated:
        kind, *marks = get_args(annotation)
        return Text.OF_A_LIST in marks or is_closed(kind)
    if get_origin(annotation) is Literal:
        return True
    if get_origin(annotation) in (Union, UnionType, tuple, list):
        return all(part is Ellipsis or is_closed(part) for part in get_args(annotation))
    return annotation in (bool, int, float, NoneType)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.  Raises SettingsError, with the position, if it is missing or malformed."""
    text = read_toml_text(path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib lets some of Python's own through, as for huge integers
        raise SettingsError(f"settings file {path} is not valid TOML: {error}") from error


def read_toml_text(path: Path) -> str:
    """What a file of settings says, for whoever hands it on as it is.  Raises SettingsError if it cannot be read."""
    try:
        return read_text(path, limit=SMALL)
    except FileNotFoundError:
        raise SettingsError(f"settings file {path} does not exist") from None
    except OSError as error:
        raise SettingsError(
            f"settings file {path} cannot be read: {error.strerror}", remedy=remedy_for(error)
        ) from None
    except Unreadable as error:
        raise SettingsError(f"settings file {path} {error}") from None


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split `a.b=value` into (["a", "b"], value); the value is TOML, and a bare word counts as a string."""
    key, separator, raw = text.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not separator or not all(path):
        raise SettingsError(
            f"override {text!r} is not of the form key=value", remedy="Write section.key=value, or key=value"
        )
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return path, raw.strip()
    # A value that goes on with further keys in a new line is no single value, so it stays a string.
    return path, table["value"] if len(table) == 1 else raw.strip()


def merge(base: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return `base` with each `a.b=value` of `overrides` written into its nested tables, in order."""
    result: dict[str, Any] = {
        key: merge(value, ()) if isinstance(value, Mapping) else value for key, value in base.items()
    }
    for text in overrides:
        path, value = parse_override(text)
        table = result
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SettingsError(f"override {text!r}: {part} is a value, not a table")
        table[path[-1]] = value
    return result


def resolve(model: type[SettingsT], values: Mapping[str, Any], *, source: str) -> SettingsT:
    """Validate `values` into `model`.  Raises SettingsError that names every wrong key and the valid ones."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise SettingsError(f"{source}: " + "; ".join(lines)) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The beginning of a remedy for a name that is not known: what may have been meant, or nothing."""
    close = difflib.get_close_matches(name, known, n=3)
    return f"Did you mean {' or '.join(close)}? " if close else ""


def _explain(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        told: str = problem["msg"].removeprefix("Value error, ")  # pydantic's word for what a check of ours says
        where = f"{'.'.join(path)}: " if path else ""
        given = problem.get("input")
        # Of several settings together: all of them would fill a page.
        return f"{where}{told}" if isinstance(given, Mapping | BaseModel) else f"{where}{told} (got {given!r})"
    table: Any = model
    for part in path[:-1]:
        if get_origin(table) is dict:  # of tables by names that are the user's
            table = get_args(table)[1]
            continue
        field = getattr(table, "model_fields", {}).get(part)
        table = field.annotation if field is not None else None
    known = ", ".join(sorted(getattr(table, "model_fields", {}))) or "none"
    return f"unknown key {'.'.join(path)} (valid here: {known})"
