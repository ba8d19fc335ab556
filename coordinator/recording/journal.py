"""Finished episodes of a run in a file, a JSON object per line: a coordinator goes on where the one before it died.

    {"kind": "header", "format": "heliograph-logbook", "version": 1, …what decides the results of a run…}
    {"kind": "episode", "pass": "open" | "cut", …the fields of `EpisodeResult`…}
    {"kind": "lost", "pass": …, "episode": …}      of an episode whose simulator died, which counts nowhere
A line is on the disk before the next episode begins, and the file is of one coordinator at a time.  Imported by
`rollout`.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from coordinator.plan.options import identity
from coordinator.plan.plan import Plan
from coordinator.world.trajectory import EpisodeResult
from heliograph.claim import claim
from heliograph.documents import DocumentFormat, WrongDocument
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import OutputFailed, SettingsError
from heliograph.reading import LOG, Unreadable, parse_json, read_bytes
from heliograph.writing import NotInPlace, check_in_place

LOGBOOK = DocumentFormat(
    name="heliograph-logbook", version=1, what="finished episodes", remedy="Name another file for --resume"
)

OF_VERSION_1 = ("seed", "episodes", "passes", "greedy", "codec", "channel", "late")
"""Options that every header names; any other has its default where it is not named."""

_SEQUENCES = ("latency_s", "waited_s", "computed_s")


class Logbook:
    """A context manager.  Without a path it holds nothing, and keeps nothing.

    Entering raises SettingsError if the file is of another run, with what differs, is none of these, is in use, or
    cannot be written; so does everything that writes.  A last line that was cut off in the middle is dropped.
    """

    def __init__(self, path: Path | None, *, plan: Plan, spec: EnvironmentSpec) -> None:
        if path is not None and plan.record is not None:
            raise SettingsError(
                "a recording is of one coordinator from its start to its end, and cannot be resumed",
                remedy="Leave out --record, or --resume",
            )
        self._path, self._plan = path, plan
        self._header = _header(plan, spec)
        self._earlier: dict[str, list[EpisodeResult]] = {}
        self._lost: dict[str, set[int]] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> Logbook:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "ab", opener=_without_waiting)
            self._claim(self._file)
            whole = self._read() if self._path.is_file() else 0
            if whole < self._path.stat().st_size:
                self._file.truncate(whole)
        except OSError as error:
            self._refuse(error)
        except SettingsError:
            self._close()
            raise
        if not whole:
            self._write(self._header)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def episodes(self) -> int:
        """How many finished ones an earlier coordinator has left."""
        return sum(map(len, self._earlier.values()))

    @property
    def lost_episodes(self) -> int:
        """How many an earlier coordinator has lost with their simulator."""
        return sum(map(len, self._lost.values()))

    @property
    def is_whole(self) -> bool:
        """Nothing is left to play."""
        return all(next(self.remaining(name), None) is None for name in self._plan.conditions)

    def earlier(self, name: str) -> list[EpisodeResult]:
        """Finished episodes of a pass that an earlier coordinator has left, in order."""
        return list(self._earlier.get(name, ()))

    def remaining(self, name: str) -> Iterator[int]:
        """The numbers of a pass's episodes that are still to be played, one by one: a run may be without end."""
        done = {result.episode for result in self.earlier(name)} | self._lost.get(name, set())
        first = self._plan.first_episode(name)
        return (episode for episode in range(first, first + self._plan.episodes) if episode not in done)

    def finished(self, name: str, result: EpisodeResult) -> None:
        fields = asdict(result) | {key: list(getattr(result, key)) for key in _SEQUENCES}
        self._write({"kind": "episode", "pass": name, **fields})

    def lost(self, name: str, episode: int) -> None:
        self._write({"kind": "lost", "pass": name, "episode": episode})

    def _claim(self, file: BinaryIO) -> None:
        if not claim(file.fileno()):
            raise SettingsError(
                f"another coordinator keeps its episodes in {self._path}",
                remedy="End it, or name another file for --resume",
            )

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None or self._path is None:
            return
        try:
            self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            check_in_place(self._file, self._path)
        except OSError as error:
            self._refuse(error)

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take was told when it was written
                self._file.close()

    def _refuse(self, error: OSError) -> NoReturn:
        self._close()
        raise OutputFailed(
            f"cannot keep finished episodes in {self._path}: {error.strerror}",
            remedy=error.remedy
            if isinstance(error, NotInPlace)
            else "The same command goes on after those that it holds, once it can be written",
        ) from error

    def _read(self) -> int:
        """Take in what is there; returns how many bytes of it are whole lines."""
        assert self._path is not None
        data = _bytes_of(self._path)
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                entry = parse_json(line)
                if number == 1:
                    self._check(entry)
                elif entry["kind"] == "episode":
                    self._earlier.setdefault(entry["pass"], []).append(_result(entry))
                elif entry["kind"] == "lost":
                    self._lost.setdefault(entry["pass"], set()).add(entry["episode"])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise SettingsError(
                    f"line {number} of {self._path} is not one of a logbook of episodes: {error}",
                    remedy=error.remedy if isinstance(error, WrongDocument) else LOGBOOK.remedy,
                ) from error
        return whole

    def _check(self, header: dict[str, Any]) -> None:
        LOGBOOK.check(header)
        different = [
            f"{name} {_in_words(header.get(name))} there, {_in_words(here)} here"
            for name, here in self._header.items()
            if header.get(name) != here
        ]
        if different:
            raise SettingsError(
                f"{self._path} holds episodes of another run: {'; '.join(different)}",
                remedy="Ask for the run that it is of, or name another file for --resume",
            )


def _header(plan: Plan, spec: EnvironmentSpec) -> dict[str, Any]:
    header = {
        "environment": spec.id,
        "parameters": spec.parameters,
        "bundles": [bundle.digest for bundle in plan.bundles],
        **identity(plan, always=OF_VERSION_1),
    }
    line = {"kind": "header", **LOGBOOK.document(header)}
    as_read: dict[str, Any] = json.loads(json.dumps(line))  # tuples are lists there
    return as_read


def _without_waiting(path: str, flags: int) -> int:
    """Open, but not wait for a reader where a pipe stands in the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def _bytes_of(path: Path) -> bytes:
    try:
        return read_bytes(path, limit=LOG)
    except Unreadable as error:
        raise SettingsError(f"{path} {error}", remedy=LOGBOOK.remedy) from None


def _result(entry: dict[str, Any]) -> EpisodeResult:
    fields = {key: value for key, value in entry.items() if key not in ("kind", "pass")}
    # Earlier coordinators did not write who was absent; where everybody has acted, nobody was.
    absent = fields.get("absent", None if fields["idle"] else ())
    sequences = {key: array("d", fields[key]) for key in _SEQUENCES}
    return EpisodeResult(**fields | sequences | {"absent": None if absent is None else tuple(map(int, absent))})


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one)[:12] for one in value)
    return str(value)
