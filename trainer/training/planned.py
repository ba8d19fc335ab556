"""The trainer's side of `heliograph campaign`, found through the entry point `heliograph.trainings`.

It says what a training would be, without torch and without anything being made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from trainer.training.preset import settings_over


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """What `heliograph train` would begin."""

    algorithm: str
    environment: str
    parameters: Mapping[str, Any]
    """Of the environment."""
    settings: Mapping[str, Any]
    """All of them, as `settings.json` holds them."""
    defaults: Mapping[str, Any]
    """By dotted key: what a setting is where nobody says anything; those that must be said are left out."""


def plan(preset: str, values: Mapping[str, Any]) -> PlannedTraining:
    """The training of a preset, by its name, with values over it, as tables in tables.

    Raises SettingsError if either is wrong.
    """
    settings = settings_over(preset, dict(values))
    return PlannedTraining(
        algorithm=settings.algorithm,
        environment=settings.environment.id,
        parameters=settings.environment.parameters,
        settings=settings.model_dump(mode="json"),
        defaults=dict(_defaults(settings, "")),
    )


def _defaults(section: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _defaults(value, f"{prefix}{name}.")
        elif not field.is_required():
            yield f"{prefix}{name}", field.get_default(call_default_factory=True, validated_data={})
