"""Presets by name, or from a TOML file of one's own, resolved to the settings of a training.

Those that come with the trainer are combinations of world, algorithm and variant; a few more are files as users write
them: settings, and as `base` the name of the preset whose values they override.  This module imports no framework, so a
command can print settings before torch loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heliograph.errors import SettingsError
from heliograph.settings import did_you_mean, merge, read_toml
from trainer.training.preset_axes import Values, single_presets
from trainer.training.preset_combinations import combinations
from trainer.training.preset_layers import for_algorithm, overlaid
from trainer.training.settings import TrainSettings, resolve_settings


def preset_names() -> list[str]:
    """Names of the presets that come with the trainer."""
    return sorted({*combinations(), *single_presets()})


def load_settings(preset: str, overrides: list[str]) -> TrainSettings:
    """Resolve a preset (a name, or the path of a TOML file) with `key=value` overrides.  Raises SettingsError."""
    values = overlaid(_of_file(Path(preset)) if preset.endswith(".toml") else _named(preset))
    values = for_algorithm(values, merge(values, overrides).get("algorithm"))
    return resolve_settings(merge(values, overrides), source=f"preset {preset}")


def settings_over(preset: str, values: Values) -> TrainSettings:
    """Resolve values over a preset that comes with the trainer, as a file with this `base` and these values would be.

    Raises SettingsError.
    """
    return resolve_settings(overlaid([*_named(preset), values]), source=f"settings over preset {preset}")


def _named(preset: str) -> Iterator[Values]:
    if preset in combinations():
        return combinations()[preset].layers()
    if preset in single_presets():
        _, path = single_presets()[preset]
        return _of_file(path)
    hint = did_you_mean(preset, preset_names())
    raise SettingsError(
        f"unknown preset {preset!r}", remedy=f"{hint}See `heliograph train --list-presets`, or name a TOML file"
    )


def _of_file(path: Path) -> Iterator[Values]:
    values = read_toml(path)
    base = values.pop("base", None)
    if base is not None:
        if not isinstance(base, str):
            raise SettingsError(f"{path}: base {base!r} is no name", remedy="Name one preset")
        yield from _named(base)
    yield values
