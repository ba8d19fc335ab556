"""Recorded episodes: one JSON object per line, gzipped if the file's name ends in `.gz`.

Format version 1, in order:
    {"kind": "header", "format": "heliograph-recording", "version": 1, "environment": …, "parameters": {…},
     "run_seed": …, "greedy": …, "agents": N, "observation_size": D, "actions": A, "message": {…} or null,
     "bundles": [digest per slot]}
    then for each episode its steps and its end:
    {"kind": "step", "pass": "open" | "cut", "episode": …, "step": …, "present": [N], "observation": [N][D],
     "action_mask": [N][A], "hears": [[slots that i could hear] per i], "masked": [[heard slots that were absent]],
     "acted": [N], "action": [N], "reward": [N], "latent": [N][K] or null}
    {"kind": "episode", "pass": …, "episode": …, "seed": …, "steps": …, "outcome": …, "return": …}
Numbers are float32 as decimal numbers that read back exactly; a latent of -1s was not reported.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from coordinator.plan import Plan
from coordinator.trajectory import EpisodeResult, StepRecord
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError

FORMAT, VERSION = "heliograph-recording", 1


class Recorder:
    """Writes a recording; a context manager.  Raises SettingsError if the file cannot be written."""

    def __init__(self, path: Path, *, plan: Plan, spec: EnvironmentSpec) -> None:
        self._path, self._plan, self._spec = path, plan, spec

    def __enter__(self) -> Recorder:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(self._path, "wt")
        except OSError as error:
            raise SettingsError(f"cannot record to {self._path}: {error.strerror}") from error
        message = self._plan.manifest.message
        self._write(
            kind="header",
            format=FORMAT,
            version=VERSION,
            environment=self._spec.id,
            parameters=self._spec.parameters,
            run_seed=self._plan.run_seed,
            greedy=self._plan.greedy,
            agents=self._spec.agents,
            observation_size=self._spec.observation_size,
            actions=self._spec.actions,
            message=None if message is None else asdict(message),
            bundles=[bundle.digest for bundle in self._plan.bundles],
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def step(self, name: str, record: StepRecord) -> None:
        self._write(
            **{"kind": "step", "pass": name},
            episode=record.episode,
            step=record.step,
            present=record.present.tolist(),
            observation=record.observation.tolist(),
            action_mask=record.action_mask.astype(int).tolist(),
            hears=[np.flatnonzero(row).tolist() for row in record.hears],
            masked=[np.flatnonzero(row).tolist() for row in record.masked],
            acted=record.acted.tolist(),
            action=record.action.tolist(),
            reward=record.reward.tolist(),
            latent=None if record.latent is None else record.latent.tolist(),
        )

    def episode(self, name: str, result: EpisodeResult) -> None:
        self._write(
            **{"kind": "episode", "pass": name, "return": result.team_return},
            episode=result.episode,
            seed=result.seed,
            steps=result.steps,
            outcome=result.outcome,
        )

    def _write(self, **line: Any) -> None:
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError as error:
            raise SettingsError(f"cannot record to {self._path}: {error.strerror}") from error


def read_recording(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a recording's lines, the header first.  Raises SettingsError if it is not one of this version."""
    with _open(path, "rt") as file:
        for number, text in enumerate(file):
            line = json.loads(text)
            if number == 0 and (line.get("format"), line.get("version")) != (FORMAT, VERSION):
                raise SettingsError(f"{path} is not a {FORMAT} of version {VERSION}")
            yield line


def _open(path: Path, mode: str) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, mode, encoding="utf-8")  # type: ignore[return-value]
    return path.open(mode, encoding="utf-8")
