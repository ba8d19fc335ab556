"""The folder of a training run.

runs/relay-20260101-120000/
    settings.json       resolved settings; what --resume goes on with
    settings_changes.jsonl  what was changed on the way; see trainer.training.extending
    run.json            run id, versions, how it started
    metrics.jsonl       one line per iteration
    events.out.*        the same for TensorBoard
    checkpoints/        see trainer.training.checkpoint
    snapshots/          the networks at evaluations on the way, by environment steps; see trainer.training.snapshots
    learning_curve.png  evaluation outcome, losses and what is imagined over environment steps
    calibration.png     of a world model: imagined against real returns, at each evaluation
    bundles/            agent-0 ... agent-(N-1)
    summary.json        result of the final evaluation
    status.json         how far it is and how it ended; see heliograph.run_status
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph import __version__
from heliograph.claim import claim
from heliograph.environments.permission import flags_for
from heliograph.errors import INTERRUPTED_EXIT_CODE, CheckpointError, HeliographError, OutputFailed, SettingsError
from heliograph.optional import optional
from heliograph.reading import SMALL, read_json, read_json_lines
from heliograph.run_format import ABOUT, RUN_FOLDER, run_fields
from heliograph.run_status import SETTINGS, STATUS, SUMMARY, RunState, RunStatus, read_status, write_status
from heliograph.system_refusals import remedy_for
from heliograph.writing import replace_text
from trainer.training.settings import TrainSettings, read_settings, settings_text


class RunFolder:
    """Paths of a run, and its metrics log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.snapshots = path / "snapshots"
        self.bundles = path / "bundles"
        self.metrics = path / "metrics.jsonl"
        self.curve = path / "learning_curve.png"
        self.calibration = path / "calibration.png"
        self.summary = path / SUMMARY

    @classmethod
    def create(cls, path: Path | None, settings: TrainSettings, *, init_from: Path | None = None) -> RunFolder:
        """Make a new folder, which says whose networks it begins with.

        Raises SettingsError if it holds a run already, OutputFailed if it cannot be written.
        """
        if path is None:
            stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
            path = Path("runs") / f"{settings.algorithm}-{settings.environment.id.replace(':', '.')}-{stamp}"
        if (path / SETTINGS).exists():
            raise SettingsError(f"{path} holds a run already", remedy=f"Go on with --resume {path}, or name another")
        about = {
            "run_id": secrets.token_hex(8),
            "heliograph": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "init_from": None if init_from is None else str(init_from.resolve()),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
            replace_text(path / ABOUT, RUN_FOLDER.text(about))
            write_status(path, RunStatus(state=RunState.RUNNING, env_steps=0))
            # Last, because it is what makes the folder a run.
            replace_text(path / SETTINGS, settings_text(settings))
        except OSError as error:
            raise OutputFailed(f"cannot make run folder {path}: {error}", remedy="Name another: --folder") from error
        return cls(path)

    def discard(self) -> None:
        """Take back what `create` has made, so that the folder is none of a run: it never began."""
        for name in (SETTINGS, STATUS, ABOUT):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # what else is in it is not this run's
            self.path.rmdir()

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run.  Raises SettingsError if there is none."""
        if not (path / SETTINGS).is_file():
            raise SettingsError(f"{path} is not a run folder (no settings.json in it)")
        return cls(path)

    @property
    def flags(self) -> str:
        """What a command that reads these settings needs for their environment, after a space; often nothing."""
        world = self.settings().environment
        return f" {flags_for(world.id, world.parameters)}".rstrip()

    @property
    def source(self) -> str:
        """Where the settings are, as a sentence names it."""
        return str(self.path / "settings.json")

    def settings(self) -> TrainSettings:
        return read_settings(self.path / SETTINGS)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, nobody else trains in this folder.  Raises SettingsError if somebody does."""
        # Of the settings, which are written once and stay.
        with (self.path / SETTINGS).open() as file:
            if not claim(file.fileno()):
                raise SettingsError(
                    f"another process trains in {self.path}", remedy="Wait for it, or end it with Ctrl-C, which saves"
                )
            yield

    @contextmanager
    def status_at_exit(self) -> Iterator[None]:
        """Inside, what breaks the training off is written down as its end, and raised again.

        A run that had come to its end stays what it is.
        """
        try:
            yield
        except BaseException as error:
            with optional("how the training ended is not in status.json"):
                status = self.status()
                if not status.ended:
                    self.write_status(_broken_off(status, error))
            raise

    def check_in_place(self) -> None:
        """Raise CheckpointError if the folder is not there any more: a training would go on for nothing, or make half
        of it anew."""
        if not os.path.lexists(self.path / SETTINGS):
            raise CheckpointError(
                f"{self.path / SETTINGS} was moved or removed while the training went on",
                remedy="Put the run folder back and resume, or begin again, and leave it where it is",
            )

    @property
    def run_id(self) -> str:
        return str(self._about()["run_id"])

    def _about(self) -> dict[str, Any]:
        path = self.path / ABOUT
        with _checked_reading(path):
            document = read_json(path, limit=SMALL)
        if not isinstance(document, dict) or not isinstance(document.get("run_id"), str):
            raise SettingsError(f"{path} names no run")
        return run_fields(document, path)

    def status(self) -> RunStatus:
        """How far the run is.  Raises SettingsError if that cannot be read."""
        return read_status(self.path)

    def write_status(self, status: RunStatus) -> None:
        """Write down how far the run is.  Raises as `log`."""
        self.check_in_place()
        with _checked_writing(self.path / STATUS):
            write_status(self.path, status)

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to `metrics.jsonl`.  Raises CheckpointError if the disk refuses."""
        self.check_in_place()
        with _checked_writing(self.metrics), self.metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """All logged records, oldest first."""
        with _checked_reading(self.metrics):
            return read_json_lines(self.metrics)

    def forget_after(self, iteration: int) -> None:
        """Drop records past an iteration, which a resumed run will write again.  Raises as `log`."""
        kept = [record for record in self.history() if record["iteration"] <= iteration]
        with _checked_writing(self.metrics):
            replace_text(self.metrics, "".join(json.dumps(record) + "\n" for record in kept))


def _broken_off(status: RunStatus, error: BaseException) -> RunStatus:
    if isinstance(error, KeyboardInterrupt):
        return replace(status, state=RunState.INTERRUPTED, detail="", exit_code=INTERRUPTED_EXIT_CODE)
    if isinstance(error, HeliographError):
        return replace(status, state=RunState.FAILED, detail=error.message, exit_code=error.exit_code)
    detail = "".join(traceback.format_exception_only(error)).strip()
    return replace(status, state=RunState.FAILED, detail=detail, exit_code=1)


@contextmanager
def _checked_reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", remedy="Name another run folder") from None


@contextmanager
def _checked_writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}", remedy=f"{remedy_for(error)}, and go on") from error
