"""How far a training run is and how it ended: `status.json` of its folder, which the trainer writes and all read here.

    {"format": "heliograph-run-status", "version": 1, "state": "interrupted", "env_steps": 5760, "detail": "",
     "limit_env_steps": 60000, "limit_minutes": 0.0, "exit_code": 130}

A file of its own, replaced in one go, so that whoever looks finds one state or the next.  A run that was killed says
`running` for ever: only who trains in the folder holds its claim, and going on with it is right in either case.
Folders of versions before this file are understood by their `summary.json`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from heliograph.documents import DocumentFormat
from heliograph.errors import INTERRUPTED_EXIT_CODE, SettingsError, TargetNotReached
from heliograph.reading import SMALL, printable, read_json
from heliograph.writing import replace_text

logger = logging.getLogger(__name__)

RUN_STATUS = DocumentFormat(
    name="heliograph-run-status",
    version=1,
    what="the run's status",
    remedy="Use the version that wrote it, or remove the file: `--resume` then goes on with the newest checkpoint",
)
STATUS, SUMMARY, SETTINGS, BUNDLES = "status.json", "summary.json", "settings.json", "bundles"
WAY_ON = ("run folder: ", "next: ")
"""How lines of a training begin that are for whoever has begun it by hand: to those who train many they are no news."""


class RunState(StrEnum):
    """What can be said of a training run."""

    ABSENT = "absent"
    """There is no run in the folder (yet); never written."""
    RUNNING = "running"
    """It is trained, or was killed."""
    INTERRUPTED = "interrupted"
    """By Ctrl-C or SIGTERM; the newest checkpoint is where it goes on."""
    FAILED = "failed"
    """With an error, told in `detail`; the newest checkpoint is where it goes on."""
    UNREACHED = "target not reached"
    """All steps are done, summary and bundles are written, and the team is not as good as was asked for."""
    FINISHED = "finished"
    """Summary and bundles are written."""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """The state of a run and what belongs to it."""

    state: RunState
    env_steps: int | None = None
    """At which this was written; None where it is not known."""
    detail: str = ""
    """How it ended, as a sentence; empty while nothing is to be told."""
    limit_env_steps: int | None = None
    """Where it ends at the latest, if that is not what its settings say: every time that a run goes on which has not
    reached its target, it is granted as many steps again."""
    limit_minutes: float | None = None
    """The same of its wall time."""
    exit_code: int | None = None
    """Of the command that wrote this; None while it goes on."""

    @property
    def ended(self) -> bool:
        """All that was asked for is trained, well or not: there are a summary and bundles."""
        return self.state in (RunState.FINISHED, RunState.UNREACHED)

    def in_words(self, folder: Path) -> str:
        """One sentence for a person, without a full stop, and nothing that would steer the terminal."""
        if self.state is RunState.ABSENT:
            return f"{folder} holds no run"
        at = "" if self.env_steps is None else f" at step {self.env_steps}"
        return f"{folder}: {self.state}{at}{f', {printable(self.detail)}' if self.detail else ''}"


def read_status(folder: Path) -> RunStatus:
    """The status of the run in a folder.  Raises SettingsError if it cannot be read, or is of a later version."""
    status = RUN_STATUS.find(folder / STATUS, _parsed, limit=SMALL)
    return _of_an_earlier_version(folder) if status is None else status


def write_status(folder: Path, status: RunStatus) -> None:
    """Replace `status.json` in one go.  Raises OSError."""
    replace_text(folder / STATUS, RUN_STATUS.text(asdict(status)))


def warn_unless_finished(folder: Path) -> None:
    """Say so if what is taken from a run folder is of a training that has not come to its end, or nobody can tell."""
    if not (folder / SETTINGS).is_file():
        return
    try:
        status = read_status(folder)
    except SettingsError as error:
        logger.warning("perhaps of a training that is not finished: %s", error.message)
        return
    if status.state is not RunState.FINISHED:
        logger.warning("of a training that is not finished: %s", status.in_words(folder))


def bundle_folder(path: Path) -> Path:
    """Where the bundles are: in the folder itself, or in a run folder's `bundles`; warns if it is not finished.

    A folder that holds the first agent's bundle is taken as it was named, whatever else is in it.  Raises SettingsError
    for a run folder that has none yet.
    """
    if any((path / name).exists() for name in ("agent-0", "agent-0.tar")):
        return path
    if (path / SETTINGS).is_file() and not (path / BUNDLES).is_dir():
        raise SettingsError(
            f"{path} has no bundles: its training has not ended ({read_status(path).in_words(path)})",
            remedy=f"Make them with `heliograph export {path}`, or evaluate its networks with --checkpoints all",
        )
    warn_unless_finished(path)
    return path / BUNDLES if (path / BUNDLES).is_dir() else path


def _parsed(document: dict[str, Any]) -> RunStatus:
    """Raises ValueError or TypeError for what `write_status` does not write."""
    kinds: dict[str, tuple[type, ...]] = {
        "env_steps": (int, type(None)),
        "detail": (str,),
        "limit_env_steps": (int, type(None)),
        "limit_minutes": (int, float, type(None)),
        "exit_code": (int, type(None)),
    }
    for name, value in document.items():
        if name == "state":
            continue
        if name not in kinds:
            raise ValueError(f"{name!r} is unknown")
        if not isinstance(value, kinds[name]) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}")
    if not math.isfinite(document.get("limit_minutes") or 0.0):
        document["limit_minutes"] = None  # the clock of a setting that is refused by now
    state = RunState(document.pop("state", None))
    if state is RunState.ABSENT:
        raise ValueError(f"{state!r} is not written")
    return RunStatus(state=state, **document)


def _of_an_earlier_version(folder: Path) -> RunStatus:
    """What a folder without `status.json` tells."""
    if not (folder / SETTINGS).is_file():
        return RunStatus(state=RunState.ABSENT)
    path = folder / SUMMARY
    try:
        summary = read_json(path, limit=SMALL)
        reason, env_steps = summary["reason"], summary["env_steps"]
        if not isinstance(env_steps, int):
            raise ValueError(f"env_steps is {env_steps!r}")
    except FileNotFoundError:
        # Killed, failed or being trained by that version.
        return RunStatus(state=RunState.INTERRUPTED, detail="with no word of how")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = str(error) or type(error).__name__
        raise SettingsError(f"cannot read {path}: {said}", remedy="Remove it, and `--resume` goes on") from None
    if reason == "interrupted":
        return RunStatus(state=RunState.INTERRUPTED, env_steps=env_steps, exit_code=INTERRUPTED_EXIT_CODE)
    if reason == "time" and _had_target(folder):
        # As its clock went, which counted as trained then: the demo's was 3.5 minutes, however busy the machine.
        return RunStatus(
            state=RunState.UNREACHED,
            env_steps=env_steps,
            detail="its time was over",
            exit_code=TargetNotReached.exit_code,
        )
    return RunStatus(state=RunState.FINISHED, env_steps=env_steps, exit_code=0)


def _had_target(folder: Path) -> bool:
    try:
        schedule = read_json(folder / SETTINGS, limit=SMALL)["schedule"]
        return schedule.get("stop_at_outcome") is not None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # whoever reads the settings says what is wrong with them
