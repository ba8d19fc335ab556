"""Logs for programs: one JSON object per line, with where in a run it was said.  Imported by every role.

{"time": RFC 3339 in UTC, "level": "info", "logger": …, "message": …, "run": …, "slot": …, "episode": …, "step": …}
where these four are known, then the `name=value` fields of the message by their names, and "trace" if there is one.
In the log of a node "slot" is its own, and "peer" the one that a message names.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TextIO

_PLACEHOLDER = re.compile(r"%%|(?:(\w+)=)?%[-+ #0-9.*]*[a-zA-Z]")

_OF_EVERY_LINE = ("time", "level", "logger", "message")


@dataclass(slots=True)
class Where:
    """The place in a run; None is unknown.  Whoever knows sets it, and what is logged meanwhile says it."""

    run: str | None = None
    slot: int | None = None
    episode: int | None = None
    step: int | None = None


_OF_PROCESS = Where()
_where: ContextVar[Where] = ContextVar("_where", default=_OF_PROCESS)


def here() -> Where:
    """The place of this task, to be changed as it moves on."""
    return _where.get()


def enter(*, run: str | None = None, slot: int | None = None) -> Where:
    """A place of its own for this task and those that it starts: several nodes may share a process."""
    place = Where(run=run, slot=slot)
    _where.set(place)
    return place


class JsonLines(logging.Formatter):
    """Formats records as the objects that this module describes."""

    def format(self, record: logging.LogRecord) -> str:
        place = here()
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in Where.__slots__ if (value := getattr(place, name)) is not None}
        fields = _fields(record)
        if fields.get("slot", place.slot) != place.slot and place.slot is not None:
            fields["peer"] = fields.pop("slot")  # what a node says of another one
        line |= fields
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The `name=%s` fields of a message that was not put together by its caller."""
    if not isinstance(record.msg, str) or not isinstance(record.args, tuple):
        return {}
    names = [found[1] for found in _PLACEHOLDER.finditer(record.msg) if found[0] != "%%"]
    fields = {name: value for name, value in zip(names, record.args, strict=False) if name}
    return {name: value for name, value in fields.items() if name not in _OF_EVERY_LINE}


class _Lines(io.TextIOBase):
    """A standard error on which each printed line becomes a record, whatever the level: progress, how it ended."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._unfinished = ""
        self._speaking = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        # A handler that cannot write complains here, which must not go round in circles.
        if self._speaking:
            return len(text)
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        self._speaking = True
        try:
            for line in lines:
                if line.strip():
                    record = {"name": "heliograph", "levelno": logging.INFO, "levelname": "INFO", "msg": line}
                    self._handler.handle(logging.makeLogRecord(record))
        finally:
            self._speaking = False
        return len(text)


@contextlib.contextmanager
def json_lines(stream: TextIO, *, level: str) -> Iterator[None]:
    """Inside, `stream` gets one object per line: what is logged from `level` on, and what is printed to stderr.

    A crash is one line as well, and ends the process with code 1.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler])
    # The handler keeps the stream that it was given, so nothing that it writes comes back here.
    with contextlib.redirect_stderr(_Lines(handler)) as lines:
        try:
            yield
        except Exception as error:
            logging.getLogger("heliograph").critical("crashed cause=%r", error, exc_info=True)
            raise SystemExit(1) from None
        finally:
            lines.write("\n")
