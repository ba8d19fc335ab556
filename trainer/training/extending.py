"""A run that goes on with other settings: `train --resume RUN --set key=value`.  Imports no torch.

Only what `heliograph.run_settings.CHANGEABLE` names may be another.  `settings.json` is then replaced, and what was
changed at which step goes to `settings_changes.jsonl`, a line each time:
    {"time": "2026-01-31T10:15:00+00:00", "env_steps": 9600, "changes": {"schedule.env_steps": [9600, 20000]}}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from heliograph.claim import claim
from heliograph.errors import SettingsError
from heliograph.reading import SMALL, open_plain
from heliograph.run_settings import CHANGEABLE
from heliograph.run_status import SETTINGS, RunState, read_status, write_status
from heliograph.settings import merge
from heliograph.system_refusals import remedy_for
from heliograph.writing import replace_text
from trainer.training.settings import differences, read_settings, resolve_settings, settings_text

CHANGES = "settings_changes.jsonl"


def extend(path: Path, overrides: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Change the settings of the run in a folder; what has changed, by key, before and after.

    Raises SettingsError if there is no run, somebody trains in it, a setting is wrong or is what the run is, or the
    disk refuses.
    """
    file = path / SETTINGS
    status = read_status(path)
    if status.state is RunState.ABSENT:
        raise SettingsError(f"{path} is not a run folder (no settings.json in it)")
    try:
        with open_plain(file, limit=SMALL) as held:
            if not claim(held.fileno()):
                raise SettingsError(
                    f"another process trains in {path}", remedy="End it with Ctrl-C, which saves, then go on from there"
                )
            before = read_settings(file)
            after = resolve_settings(merge(before.model_dump(mode="json"), overrides), source=f"--set for {path}")
            # The parameters of an environment have keys of its own.
            changes = {name: pair for name, *pair in differences(before, after, whole=("parameters",))}
            if fixed := [name for name in changes if name not in CHANGEABLE]:
                raise SettingsError(
                    f"{', '.join(fixed)} is what the run is, and stays",
                    remedy=f"A run that goes on may change {', '.join(CHANGEABLE)}; for others start a new one, with "
                    "--init-from for its networks",
                )
            if not changes:
                return {}
            line = {
                "time": datetime.now().astimezone().isoformat(timespec="seconds"),
                "env_steps": status.env_steps,
                "changes": changes,
            }
            # Where the run ends is told by its settings again; if it had come to an end, that is not its end any more.
            state = RunState.INTERRUPTED if status.ended else status.state
            write_status(path, replace(status, state=state, detail="", limit_env_steps=None, limit_minutes=None))
            replace_text(file, settings_text(after))
            with (path / CHANGES).open("a", encoding="utf-8") as history:
                history.write(json.dumps(line) + "\n")
    except OSError as error:
        raise SettingsError(
            f"cannot change the settings of {path}: {error.strerror}", remedy=remedy_for(error)
        ) from error
    except ValueError as error:
        raise SettingsError(f"cannot read {file}: {error}") from error
    return {name: (old, new) for name, (old, new) in changes.items()}
