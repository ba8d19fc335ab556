"""A recording read back as arrays: the wire trace that everything offline works on, without the environment.

`schema.py` describes the file.  Axis legend: T steps of an episode, N agents, D observation size, A
actions, or dimensions of a continuous one, K categoricals, C classes, S state size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator.recording.schema import (
    FORMAT,
    OLDER,
    STEP_ARRAYS,
    VERSION,
    EndLine,
    EpisodeLine,
    MalformedLine,
    StepLine,
    TraceHeader,
    read_line,
)
from coordinator.recording.spelling import Dimensions
from coordinator.world import delivery
from heliograph.errors import SettingsError
from heliograph.reading import RECORDING, Unreadable, parse_json, read_lines

_RECORD_AGAIN = "Record again with `--record`"


@dataclass(frozen=True, kw_only=True)
class TraceEpisode:
    """One finished episode, step by step."""

    pass_name: str
    """"open", or "cut" where nobody could hear anybody."""
    episode: int
    seed: int
    outcome: float
    team_return: float
    present: npt.NDArray[np.bool_]
    """bool [T, N]."""
    observation: npt.NDArray[np.float32]
    """float32 [T, N, D]; zeros where not present."""
    action_mask: npt.NDArray[np.bool_]
    """bool [T, N, A]."""
    hears: npt.NDArray[np.bool_]
    """bool [T, N, N]: [t, i, j] says that i could hear j."""
    masked: npt.NDArray[np.bool_]
    """bool [T, N, N]: of `hears`, what was not there in time, for whatever reason."""
    lost: npt.NDArray[np.bool_]
    """bool [T, N, N]: [t, i, j] says that the simulated channel lost what j said to i at step t - 1."""
    delay: npt.NDArray[np.int64]
    """int64 [T, N, N]: by how many steps it delayed that; 0 where it did not."""
    acted: npt.NDArray[np.bool_]
    """bool [T, N]."""
    action: npt.NDArray[np.int64 | np.float32]
    """As applied: int64 [T, N], or float32 [T, N, A] between -1 and 1; of a mixed team float32 [T, N, 1 + k]."""
    reward: npt.NDArray[np.float32]
    """float32 [T, N]."""
    latent: npt.NDArray[np.int32] | None
    """int32 [T, N, K], -1 where there is none; None for bundles without messages."""
    state: npt.NDArray[np.float32] | None
    """float32 [T, S], before the actions of its step."""

    @property
    def steps(self) -> int:
        return len(self.present)

    @property
    def late(self) -> npt.NDArray[np.bool_]:
        """bool [T, N, N]: what the simulated channel delayed beyond its step."""
        return self.delay > 0

    @cached_property
    def spoke(self) -> npt.NDArray[np.bool_]:
        """bool [T, N]: who made a message."""
        return np.zeros_like(self.present) if self.latent is None else self.latent[:, :, 0] >= 0

    def sent(self) -> npt.NDArray[np.bool_]:
        """bool [T, N, N]: [t, i, j] says that i sent its message of step t to j."""
        return self._sent

    @property
    def received(self) -> npt.NDArray[np.bool_]:
        """bool [T, N, N]: [t, i, j] says that i really read at step t what j said at step t - 1."""
        return self._received

    @cached_property
    def _sent(self) -> npt.NDArray[np.bool_]:
        return delivery.sent(spoke=self.spoke, present=self.present, hears=self.hears)

    @cached_property
    def _received(self) -> npt.NDArray[np.bool_]:
        return delivery.received(sent=self._sent, hears=self.hears, absent=self.masked | self.lost | self.late)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A whole recording."""

    header: TraceHeader
    episodes: tuple[TraceEpisode, ...]


def read_trace(path: Path) -> Trace:
    """Read a recording.

    Raises SettingsError, with the number of the offending line, for anything that the writer of this version, or of the
    one before, did not write whole.
    """
    lines = _lines(path)
    try:
        number, first = 1, next(lines, None)
        if first is None:
            raise MalformedLine("is empty")
        header = _header(first)
        steps, episodes = _Steps(header.dimensions), list[TraceEpisode]()
        for number, line in enumerate(lines, start=2):
            kind = line.get("kind")
            if kind == "step":
                steps.add(line)
            elif kind == "episode":
                episodes.append(steps.take(read_line(EpisodeLine, line)))
            elif kind == "end":
                steps.check_none_left()
                _check_totals(read_line(EndLine, line, dimensions=header.dimensions), episodes)
                if next(lines, None) is not None:
                    number += 1
                    raise MalformedLine("comes after the end")
                return Trace(header=header, episodes=tuple(episodes))
            else:
                raise MalformedLine(f"is of kind {kind!r}, not of a step, an episode or the end")
        number += 1
        raise MalformedLine("should be there, but the file ends before its last line")
    except _Unreadable as error:
        raise SettingsError(f"{path}: {error}", remedy=_RECORD_AGAIN) from None
    except MalformedLine as error:
        raise SettingsError(f"{path} line {number}: {error}", remedy=_RECORD_AGAIN) from None


class _Unreadable(Exception):
    """The bytes stop making sense, in a line that the message names."""


class _Steps:
    """Collects the steps of one episode after the other."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._rows: list[StepLine] = []

    def add(self, line: dict[str, Any]) -> None:
        """Take a step's line."""
        row = read_line(StepLine, line, dimensions=self._dimensions)
        if self._rows and _label(row) != _label(self._rows[0]):
            raise MalformedLine(f"begins episode {row.episode} before episode {self._rows[0].episode} ended")
        if row.step != len(self._rows):
            raise MalformedLine(f"is step {row.step} where step {len(self._rows)} should be")
        self._rows.append(row)

    def take(self, end: EpisodeLine) -> TraceEpisode:
        """The episode that this line ends."""
        if not self._rows or _label(self._rows[0]) != _label(end):
            raise MalformedLine(f"ends episode {end.episode}, of which there are no steps before it")
        if end.steps != len(self._rows):
            raise MalformedLine(f"ends an episode of {end.steps} steps, of which {len(self._rows)} are there")
        rows, self._rows = self._rows, []
        return TraceEpisode(
            pass_name=end.pass_name,
            episode=end.episode,
            seed=end.seed,
            outcome=end.outcome,
            team_return=end.team_return,
            **{name: _stacked([getattr(row, name) for row in rows]) for name in STEP_ARRAYS},
        )

    def check_none_left(self) -> None:
        """Raise MalformedLine if steps wait for the end of their episode."""
        if self._rows:
            raise MalformedLine(f"is the end, but episode {self._rows[0].episode} did not end")


def _label(line: StepLine | EpisodeLine) -> tuple[str, int]:
    return line.pass_name, line.episode


def _stacked(rows: list[npt.NDArray[Any] | None]) -> Any:
    """Along T; None, throughout, where the run lacks what it would be."""
    return None if rows[0] is None else np.array(rows)


def _header(line: dict[str, Any]) -> TraceHeader:
    if line.get("kind") != "header" or line.get("format") != FORMAT:
        raise MalformedLine(f"is not the header of a {FORMAT}")
    version = line.get("version")
    if type(version) is not int or not OLDER <= version <= VERSION:
        raise MalformedLine(f"has format version {version!r}, this program reads {OLDER} to {VERSION}")
    # What an older version lacks has its default: from here on the file is as if it were of this one.
    return read_line(TraceHeader, line, version=version).model_copy(update={"version": VERSION})


def _check_totals(end: EndLine, episodes: list[TraceEpisode]) -> None:
    none = np.zeros_like(end.sent)
    found = EndLine.model_construct(
        episodes=len(episodes),
        steps=sum(episode.steps for episode in episodes),
        sent=sum((episode.sent().sum(0) for episode in episodes), none),
        heard=sum((episode.received.sum(0) for episode in episodes), none),
    ).written()
    for name, value in end.written().items():
        if value != found[name]:
            raise MalformedLine(f"counts {name} {value}, but the lines before it hold {found[name]}")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        for number, text in enumerate(read_lines(path, limit=RECORDING), start=1):
            if not text.endswith(b"\n"):
                raise _Unreadable(f"the file ends within line {number}")
            line = _parsed(text, number)
            if not isinstance(line, dict):
                raise _Unreadable(f"line {number} is not an object")
            yield line
    except FileNotFoundError:
        raise _Unreadable("there is no such file") from None
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from None
    except Unreadable as error:
        raise _Unreadable(f"the file {error}, at line {number + 1}" if number else f"the file {error}") from None


def _parsed(text: bytes, number: int) -> Any:
    try:
        return parse_json(text, finite=True)
    except Unreadable as error:
        raise _Unreadable(f"line {number} {error}") from None
