"""The reference of settings: what each class declares, with type, default and the sentences below its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

MOST_LISTED = 6
"""Environments of one family with their defaults one by one."""


def render_training() -> str:
    """The settings of `heliograph train` by the keys that `--set` takes: those of every run, then each algorithm's."""
    from trainer.algorithms.registry import algorithm_entry, known_algorithms
    from trainer.training.settings import TrainSettings

    parts = ["## Of every training", *_sections(TrainSettings, key="", level=3), "## Algorithms", _algorithms()]
    shown: set[str] = set()
    for name in known_algorithms():
        entry = algorithm_entry(name)
        for section in entry.sections.keys() - shown:
            parts += _sections(entry.settings_of(section), key=f"{section}.", level=2)
        shown |= entry.sections.keys()
    return "\n\n".join(parts)


def _algorithms() -> str:
    from trainer.algorithms.registry import algorithm_entry, known_algorithms

    rows = []
    for name in known_algorithms():
        entry = algorithm_entry(name)
        rows.append(f"| `{name}` | {entry.summary} | {', '.join(f'`{section}`' for section in entry.sections)} |")
    return "\n".join(["| `algorithm` | what | sections that it reads |", "|---|---|---|", *rows])


def render_run() -> str:
    """The options of episodes, whoever runs them."""
    from coordinator.plan.options import table
    from coordinator.plan.settings import RunSettings

    return table(RunSettings)


def render_launch() -> str:
    """The options of a team of processes."""
    from coordinator.plan.options import table
    from coordinator.running.launch_settings import LaunchSettings

    return table(LaunchSettings)


def render_environments() -> str:
    """The parameters of the catalogue's environments: a heading for each settings class and the names that use it."""
    import pkgutil

    from heliograph.environments.catalogue import CATALOGUE

    users: dict[str, list[str]] = {}
    for name, entry in CATALOGUE.items():
        if entry.settings:
            users.setdefault(entry.settings, []).append(name)
    parts = []
    for path, names in users.items():
        listed = ", ".join(f"`{name}`" for name in names[:MOST_LISTED])
        more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
        parts += [f"## {listed}{more}", _table(pkgutil.resolve_name(path), key="")]
    return "\n\n".join(parts)


def _sections(model: type[BaseModel], *, key: str, level: int) -> Iterator[str]:
    own = _table(model, key=key)
    if own:
        if key:
            yield f"{'#' * level} `{key.rstrip('.')}`"
            if doc := _said_of(model):
                yield doc
        yield own
    for name, field in model.model_fields.items():
        part = _section_class(field.annotation)
        if part is not None:
            yield from _sections(part, key=f"{key}{name}.", level=min(level + bool(key), 4))


def _table(model: type[BaseModel], *, key: str) -> str:
    rows = [
        f"| `{key}{name}` | {_kind(field.annotation)} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in model.model_fields.items()
        if _section_class(field.annotation) is None
    ]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows]) if rows else ""


def _section_class(annotation: Any) -> type[BaseModel] | None:
    """The settings class of a section; None for a plain setting."""
    from heliograph.settings import Settings

    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)]
    return found[0] if len(found) == 1 else None


def _said_of(model: type[BaseModel]) -> str:
    doc = (model.__doc__ or "").strip()
    base = next((parent.__doc__ for parent in model.__mro__[1:] if parent.__doc__), "")
    return "" if doc == (base or "").strip() else " ".join(doc.split())


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part.value if isinstance(part, Enum) else part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join("none" if part is NoneType else _kind(part) for part in parts)
    if origin is not None:
        inner = ", ".join(_kind(part) for part in parts if part is not Ellipsis)
        return f"{origin.__name__} of {inner}" if inner else origin.__name__
    return {int: "whole number", float: "number", bool: "true, false", str: "text"}.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping | list | tuple) and not value:
        return "empty"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    """One line, without what would end a cell or open a tag."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split())).replace("<", "&lt;")
