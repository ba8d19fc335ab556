"""Writes recorded episodes: one JSON object per line, gzipped if the file's name ends in `.gz`.

`schema.py` says what is in the lines.  Whom a message was sent to is not written, because it follows from who can hear
whom (`coordinator.world.delivery`).  Numbers are float32 as decimal numbers that read back exactly.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
import numpy.typing as npt

from coordinator.plan.plan import Plan
from coordinator.recording.schema import STEP_ARRAYS, EndLine, EpisodeLine, Line, StepLine, TraceHeader
from coordinator.world import delivery
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.action_rows import ActionRows
from heliograph.actions import ContinuousActions
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import OutputFailed, SettingsError
from heliograph.system_refusals import remedy_for
from heliograph.writing import NotInPlace, check_in_place

logger = logging.getLogger(__name__)


class Recorder:
    """Writes a recording; a context manager.  Raises SettingsError if the file cannot be written.

    Steps are written with the end of their episode, so what was interrupted or lost leaves nothing in the file.
    """

    def __init__(self, path: Path, *, plan: Plan, spec: EnvironmentSpec) -> None:
        self._path, self._plan, self._spec = path, plan, spec
        self._steps: list[StepRecord] = []
        self._episodes = self._steps_written = 0
        self._sent = np.zeros((spec.agents, spec.agents), dtype=np.int64)
        self._received = np.zeros((spec.agents, spec.agents), dtype=np.int64)

    def __enter__(self) -> Recorder:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(self._path)
        except OSError as error:
            raise SettingsError(f"cannot record to {self._path}: {error.strerror}", remedy=remedy_for(error)) from error
        self._write(_header(self._plan, self._spec))
        return self

    def __exit__(self, *_: object) -> None:
        """After an interruption the file is finished here, as well as that can be done."""
        try:
            self.finish()
        except OutputFailed as error:
            logger.warning("recording not finished cause=%s", error)

    def finish(self) -> None:
        """Write the line that ends a whole file, and close it; does nothing the second time.

        Raises OutputFailed if what was written before cannot be kept either.
        """
        if self._file.closed:
            return
        self._write(
            EndLine.model_construct(
                episodes=self._episodes, steps=self._steps_written, sent=self._sent, heard=self._received
            )
        )
        try:
            self._file.flush()
            check_in_place(self._file, self._path)
            self._file.close()
        except OSError as error:
            self._fail(error)

    def step(self, name: str, record: StepRecord) -> None:
        if self._steps and self._steps[0].episode != record.episode:
            self._steps = []
        self._steps.append(record)

    def episode(self, name: str, result: EpisodeResult) -> None:
        for record in self._steps:
            arrays = {array: getattr(record, array) for array in STEP_ARRAYS}
            self._write(StepLine.model_construct(pass_name=name, episode=record.episode, step=record.step, **arrays))
        self._write(
            EpisodeLine.model_construct(
                pass_name=name,
                team_return=result.team_return,
                episode=result.episode,
                seed=result.seed,
                steps=result.steps,
                outcome=result.outcome,
            )
        )
        self._add_up()
        self._steps = []
        try:
            check_in_place(self._file, self._path)
        except OSError as error:
            self._fail(error)

    def _add_up(self) -> None:
        present, hears, masked, lost, delay = (
            np.array([getattr(record, name) for record in self._steps])
            for name in ("present", "hears", "masked", "lost", "delay")
        )
        spoke = np.array([_spoke(record) for record in self._steps])
        sent = delivery.sent(spoke=spoke, present=present, hears=hears)
        self._episodes += 1
        self._steps_written += len(self._steps)
        self._sent += sent.sum(0)
        self._received += delivery.received(sent=sent, hears=hears, absent=masked | lost | (delay > 0)).sum(0)

    def _write(self, line: Line) -> None:
        try:
            self._file.write(json.dumps(line.written(), separators=(",", ":")) + "\n")
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        with suppress(OSError):  # what is still in its buffer cannot be written either
            self._file.close()
        raise OutputFailed(
            f"cannot record to {self._path}: {error.strerror}",
            remedy=error.remedy
            if isinstance(error, NotInPlace)
            else "Make room or name another file; what the file holds so far is cut off where it failed",
        ) from error


def _header(plan: Plan, spec: EnvironmentSpec) -> TraceHeader:
    manifest, tables = plan.manifest, plan.bundles[0].tables
    return TraceHeader(
        environment=spec.id,
        parameters=spec.parameters,
        algorithm=manifest.algorithm,
        run_seed=plan.run_seed,
        greedy=plan.greedy,
        late_policy=plan.late_policy,
        codec=plan.codec,
        channel=None if plan.channel is None else str(plan.channel),
        agents=spec.agents,
        observation_size=spec.observation_size,
        actions=spec.actions,
        continuous=_bounds(spec.rows),
        state_size=spec.state_size,
        message=manifest.message,
        recurrent_size=sum(math.prod(state.shape) for state in manifest.state),
        bundles=tuple(bundle.digest for bundle in plan.bundles),
        tables=None if tables is None else tables.counts,
        observation_names=spec.observation_names,
        state_names=spec.state_names,
    )


def _bounds(rows: ActionRows) -> tuple[ContinuousActions | None, ...]:
    """Of each agent whose action is a vector; nothing where nobody's is."""
    vectors = tuple(space if isinstance(space, ContinuousActions) else None for space in rows.spaces)
    return vectors if rows.size else ()


def _spoke(record: StepRecord) -> npt.NDArray[np.bool_]:
    """bool [N]: who made a message at this step."""
    return np.zeros_like(record.present) if record.latent is None else record.latent[:, 0] >= 0


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", encoding="utf-8")
    return path.open("w", encoding="utf-8")
