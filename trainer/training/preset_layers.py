"""Settings over settings, where those above may be of another algorithm than those beneath.

Where values name another algorithm than those beneath them, the sections beneath that it does not read are left out,
or those parts of them that its entry in the registry says it inherits become its own: over a preset of MAMBA, MABL
learns as that does, and what has no world model takes over the world, its schedule and its evaluation alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from trainer.algorithms.registry import algorithm_entry, section_owner
from trainer.training.settings import DEFAULT_ALGORITHM


def overlaid(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of all layers, from the bottom."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = _overlay(for_algorithm(values, layer.get("algorithm")), layer)
    return values


def for_algorithm(values: dict[str, Any], algorithm: Any) -> dict[str, Any]:
    """Values beneath those that name `algorithm` (None if they name none): its own sections, or what it inherits."""
    if not isinstance(algorithm, str) or algorithm == values.get("algorithm", DEFAULT_ALGORITHM):
        return values
    entry = algorithm_entry(algorithm)
    kept: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    for name, value in values.items():
        other = None if name in entry.sections else section_owner(name)
        if other is None:
            kept[name] = value
        elif name in entry.inherits and isinstance(value, Mapping):
            own = entry.inherits[name]
            taken = _in_common(value, other.settings_of(name), entry.settings_of(own))
            inherited[own] = _overlay(inherited.get(own, {}), taken)
    return kept | {name: _overlay(value, kept.get(name, {})) for name, value in inherited.items()}


def _in_common(values: Mapping[str, Any], theirs: type[BaseModel], ours: type[BaseModel]) -> dict[str, Any]:
    """Without what their settings know and ours do not; what neither knows stays, to be refused by its name."""
    taken: dict[str, Any] = {}
    for name, value in values.items():
        their, our = theirs.model_fields.get(name), ours.model_fields.get(name)
        if our is None and their is not None:
            continue
        if isinstance(value, Mapping) and their is not None and our is not None:
            value = _in_common(value, their.annotation, our.annotation)  # type: ignore[arg-type]  # a section is a model
        taken[name] = value
    return taken


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _overlay(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged
