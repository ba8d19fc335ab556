"""Writes recorded episodes: one JSON object per line, gzipped if the file's name ends in `.gz`.

Format version 3, in order (N agents, D observation size, A actions, K categoricals, C classes, S state size):
    {"kind": "header", "format": "heliograph-recording", "version": 3, "environment": …, "parameters": {…},
     "algorithm": …, "run_seed": …, "greedy": …, "late_policy": "mask" | "hold", "codec": …, "channel": … or null,
     "agents": N, "observation_size": D, "actions": A, "continuous": [N] of {"low": [A], "high": [A], "bits": …}, or
     [] where actions are numbered, "state_size": S, "message": {"categoricals": K, "classes": C} or null,
     "recurrent_size": numbers in an agent's recurrent state, "bundles": [digest per slot],
     "tables": [K][C] counts that codecs go by, or null, "observation_names": [D] or [], "state_names": [S] or []}
    then for each finished episode its steps and its end:
    {"kind": "step", "pass": "open" | "cut", "episode": …, "step": …, "present": [N], "observation": [N][D],
     "action_mask": [N][A], "hears": [[slots that i could hear] per i], "masked": [[heard slots that were absent]],
     "lost": [[slots whose message of the step before the simulated channel lost]],
     "late": [[[slot, steps by which it delayed that] …]],
     "acted": [N], "action": [N], or [N][A] of continuous ones between -1 and 1, "reward": [N],
     "latent": [N][K] or null, "state": [S] or null}
    {"kind": "episode", "pass": …, "episode": …, "seed": …, "steps": …, "outcome": …, "return": …}
    and at the end, without which a file is not whole, the numbers of episodes and steps and the totals per link:
    {"kind": "end", "episodes": …, "steps": …, "sent": [N][N] messages of i to j, "heard": [N][N] of j read by i}
Whom a message was sent to is not written, because it follows from who can hear whom (`coordinator.world.delivery`).
Numbers are float32 as decimal numbers that read back exactly; a latent of -1s was not reported.  Version 2 is the
same without "continuous", and is still read.
`coordinator.recording.reader` reads it.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from coordinator.plan.plan import Plan
from coordinator.world import delivery
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import OutputFailed, SettingsError

logger = logging.getLogger(__name__)

FORMAT, VERSION = "heliograph-recording", 3
OLDER = 2
"""The oldest version that is still read."""


class Recorder:
    """Writes a recording; a context manager.  Raises SettingsError if the file cannot be written.

    Steps are written with the end of their episode, so what was interrupted or lost leaves nothing in the file.
    """

    def __init__(self, path: Path, *, plan: Plan, spec: EnvironmentSpec) -> None:
        self._path, self._plan, self._spec = path, plan, spec
        self._steps: list[StepRecord] = []
        self._episodes = self._steps_written = 0
        self._sent = np.zeros((spec.agents, spec.agents), dtype=np.int64)
        self._heard = np.zeros((spec.agents, spec.agents), dtype=np.int64)

    def __enter__(self) -> Recorder:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(self._path)
        except OSError as error:
            raise SettingsError(f"cannot record to {self._path}: {error.strerror}") from error
        self._write(kind="header", format=FORMAT, version=VERSION, **_header(self._plan, self._spec))
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
            kind="end",
            episodes=self._episodes,
            steps=self._steps_written,
            sent=self._sent.tolist(),
            heard=self._heard.tolist(),
        )
        try:
            self._file.close()
        except OSError as error:
            self._fail(error)

    def step(self, name: str, record: StepRecord) -> None:
        if self._steps and self._steps[0].episode != record.episode:
            self._steps = []
        self._steps.append(record)

    def episode(self, name: str, result: EpisodeResult) -> None:
        for record in self._steps:
            self._write(**{"kind": "step", "pass": name}, **_step(record))
        self._write(
            **{"kind": "episode", "pass": name, "return": result.team_return},
            episode=result.episode,
            seed=result.seed,
            steps=result.steps,
            outcome=result.outcome,
        )
        self._add_up()
        self._steps = []

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
        self._heard += delivery.heard(sent=sent, hears=hears, absent=masked | lost | (delay > 0)).sum(0)

    def _write(self, **line: Any) -> None:
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        with suppress(OSError):  # what is still in its buffer cannot be written either
            self._file.close()
        raise OutputFailed(
            f"cannot record to {self._path}: {error.strerror}",
            remedy="Make room or name another file; what the file holds so far is cut off where it failed",
        ) from error


def _header(plan: Plan, spec: EnvironmentSpec) -> dict[str, Any]:
    manifest, tables = plan.manifest, plan.bundles[0].tables
    return {
        "environment": spec.id,
        "parameters": spec.parameters,
        "algorithm": manifest.algorithm,
        "run_seed": plan.run_seed,
        "greedy": plan.greedy,
        "late_policy": plan.late_policy,
        "codec": plan.codec,
        "channel": None if plan.channel is None else str(plan.channel),
        "agents": spec.agents,
        "observation_size": spec.observation_size,
        "actions": spec.actions,
        "continuous": [{"low": space.low, "high": space.high, "bits": space.bits} for space in spec.continuous],
        "state_size": spec.state_size,
        "message": None if manifest.message is None else asdict(manifest.message),
        "recurrent_size": sum(math.prod(state.shape) for state in manifest.state),
        "bundles": [bundle.digest for bundle in plan.bundles],
        "tables": None if tables is None else tables.counts.tolist(),
        "observation_names": list(spec.observation_names),
        "state_names": list(spec.state_names),
    }


def _step(record: StepRecord) -> dict[str, Any]:
    return {
        "episode": record.episode,
        "step": record.step,
        "present": record.present.tolist(),
        "observation": record.observation.tolist(),
        "action_mask": record.action_mask.astype(int).tolist(),
        **{
            name: [np.flatnonzero(row).tolist() for row in getattr(record, name)]
            for name in ("hears", "masked", "lost")
        },
        "late": [[[int(slot), int(row[slot])] for slot in np.flatnonzero(row)] for row in record.delay],
        "acted": record.acted.tolist(),
        "action": record.action.tolist(),
        "reward": record.reward.tolist(),
        "latent": None if record.latent is None else record.latent.tolist(),
        "state": None if record.state is None else record.state.tolist(),
    }


def _spoke(record: StepRecord) -> npt.NDArray[np.bool_]:
    """bool [N]: who made a message at this step."""
    return np.zeros_like(record.present) if record.latent is None else record.latent[:, 0] >= 0


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", encoding="utf-8")
    return path.open("w", encoding="utf-8")
