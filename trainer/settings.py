"""All settings of a training run.  Imports no torch, so that a run is resolved and printed before it loads."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from heliograph.errors import SettingsError
from heliograph.settings import Settings, merge, read_toml, resolve
from trainer.mamba_settings import MambaSettings
from trainer.replay_settings import ReplaySettings


class EnvironmentSettings(Settings):
    id: str
    """Name in the registry, or import path; see `heliograph environments`."""
    parameters: dict[str, Any] = {}
    """Of the environment; checked by it."""
    copies: PositiveInt = 8
    """Stepped together while collecting."""


class ScheduleSettings(Settings):
    """One iteration collects, then updates the model and the policy."""

    env_steps: PositiveInt
    """Environment steps (over all copies) after which training ends."""
    steps_per_iteration: PositiveInt
    """Steps of every copy per iteration."""
    minutes: NonNegativeFloat = 0.0
    """Stop after so much wall time even if steps are left; 0: no limit."""
    stop_at_outcome: float | None = None
    """Stop when two evaluations in a row reach this outcome."""


class EvaluationSettings(Settings):
    every: PositiveInt = 20
    """Iterations between evaluations."""
    episodes: PositiveInt = 128
    seed: NonNegativeInt = 2**32
    """Of the evaluation episodes, which are the same every time and never those of training."""
    final_episodes: PositiveInt = 1000
    """Fresh episodes of the evaluation that ends a run."""
    sampled: bool = False
    """Evaluate the sampled policy as well as the greedy one."""
    snapshots: NonNegativeInt = 10
    """How many evaluations' networks are kept at most, for `heliograph evaluate --checkpoints all`; 0: none."""


class TrainSettings(Settings):
    algorithm: Literal["mamba"] = "mamba"
    seed: NonNegativeInt = 0
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    threads: NonNegativeInt = 0
    """CPU threads of torch; 0: its own choice."""
    compile: Literal["off", "default", "cuda-graphs"] = "off"
    """Compile the model update and imagination with torch.compile, or with CUDA graphs as well; for long GPU runs."""
    checkpoint_minutes: PositiveFloat = 5.0
    """Wall time between checkpoints."""
    environment: EnvironmentSettings
    schedule: ScheduleSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    replay: ReplaySettings = ReplaySettings()
    mamba: MambaSettings = MambaSettings()


def preset_names() -> list[str]:
    """Names of the presets that come with the trainer."""
    return sorted(entry.name.removesuffix(".toml") for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def load_settings(preset: str, overrides: list[str]) -> TrainSettings:
    """Resolve a preset (a name, or the path of a TOML file) with `key=value` overrides.

    A preset may name another one as `base`, whose values it overrides.  Raises SettingsError.
    """
    return resolve(TrainSettings, merge(_values(preset), overrides), source=f"preset {preset}")


def _values(preset: str) -> dict[str, Any]:
    if preset.endswith(".toml"):
        path = Path(preset)
    else:
        if preset not in preset_names():
            raise SettingsError(f"unknown preset {preset!r}", remedy=f"Known presets: {', '.join(preset_names())}")
        path = Path(str(_presets() / f"{preset}.toml"))
    values = read_toml(path)
    base = values.pop("base", None)
    return values if base is None else _overlay(_values(base), values)


def _overlay(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in values.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _presets() -> Any:
    return files("trainer") / "presets"
