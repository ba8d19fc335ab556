"""Digests of the resolved settings of every preset, which tests/golden/presets/digests.json holds.

`python tests/trainer/preset_digests.py` writes that file anew; say in the commit which settings changed, and why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.training.preset import load_settings, preset_names
from trainer.training.settings import TrainSettings

FILE = Path(__file__).parents[1] / "golden" / "presets" / "digests.json"
WHOLE = "environment.parameters"
"""A table that counts as one setting: its names are the environment's."""


def flat(settings: TrainSettings) -> dict[str, Any]:
    """Each setting by its dotted name, in the order of `--dry-run`."""
    return dict(_flat(settings.model_dump(mode="json"), ""))


def digest(settings: TrainSettings, known: Collection[str]) -> str:
    """Of the settings whose names are known: one that is added later does not change it, a new default does."""
    values = {name: value for name, value in flat(settings).items() if name in known}
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and prefix + name != WHOLE:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def main() -> None:
    presets = {name: load_settings(name, []) for name in preset_names()}
    known = sorted(set().union(*map(flat, presets.values())))
    digests = {name: digest(settings, known) for name, settings in presets.items()}
    FILE.write_text(json.dumps({"settings": known, "presets": digests}, indent=0) + "\n")


if __name__ == "__main__":
    main()
