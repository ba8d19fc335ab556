"""Reads files that others may have made: only plain files, no more bytes than a limit, and JSON that hides nothing.

A pipe or a device in a file's place would be read for ever, a small zipped file can stand for terabytes, and JSON can
hold lists within lists until Python gives up, or numbers of thousands of digits.  All of that is `Unreadable`, a
ValueError; that there is no such file stays FileNotFoundError, and what the system says stays OSError.  Whoever reads
files of users imports this.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

SMALL = 2**20
"""Bytes of a key, a certificate or a file of settings."""
DOCUMENT = 64 * 2**20
"""Bytes of a JSON document; also of one line."""
LOG = 2**30
"""Bytes of a file with a line per iteration or episode."""
RECORDING = 2**32
"""Bytes of a recording, unzipped."""
ARRAYS = 2**40
"""Bytes of a file of networks or experience, which is read as it is needed."""
DIGITS = 39
"""Of a whole number; random generators keep 128 bits of state."""

_GZIP = b"\x1f\x8b"
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (DIGITS + 1))
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class Unreadable(ValueError):
    """Why a file is not read, as the end of a sentence that begins with its name: "is a pipe, not a plain file"."""


def read_bytes(path: Path, *, limit: int, links: bool = True) -> bytes:
    """All of a plain file; `links`: the last part of the path may be a link to one.  Raises Unreadable, OSError."""
    with open_plain(path, limit=limit, links=links) as file:
        data = file.read(limit + 1)
    if len(data) > limit:  # it grows, or its size was not told
        raise _too_large(limit)
    return data


def read_text(path: Path, *, limit: int) -> str:
    """All of a plain file of UTF-8.  Raises Unreadable, OSError."""
    return _decoded(read_bytes(path, limit=limit))


def read_json(path: Path, *, limit: int = DOCUMENT) -> Any:
    """What a JSON file holds.  Raises Unreadable, OSError."""
    return parse_json(read_bytes(path, limit=limit))


def parse_json(data: bytes, *, finite: bool = False) -> Any:
    """What JSON text holds; `finite`: without the NaN and Infinity that Python writes.  Raises Unreadable."""
    hooks: dict[str, Any] = {"parse_constant": _refuse_constant} if finite else {}
    if _LONG_NUMBER.search(data):  # looked for first: a function of ours per number would take most of the time
        hooks["parse_int"] = _integer
    text = _decoded(data)
    try:
        return json.loads(text, **hooks)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}") from None


def read_lines(path: Path, *, limit: int, line_limit: int = DOCUMENT) -> Iterator[bytes]:
    """Lines of a plain file, unzipped if it is gzipped, with their ends; the last one may have none.

    Raises Unreadable for a line or a whole that is too long, or zipped data that is damaged or cut off; OSError.
    """
    with open_plain(path, limit=limit) as plain:
        zipped = plain.read(2) == _GZIP
        plain.seek(0)
        file = gzip.GzipFile(fileobj=plain) if zipped else plain
        left = limit
        try:
            while line := file.readline(line_limit + 1):
                left -= len(line)
                if len(line) > line_limit:
                    raise Unreadable(f"has a line of more than {_size(line_limit)}")
                if left < 0:
                    raise _too_large(limit)
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise Unreadable("ends early, or is damaged") from None


def read_json_lines(path: Path, *, limit: int = LOG) -> list[dict[str, Any]]:
    """The objects of a file that has one per line; none where there is no file.

    A last line without its end was cut off by a crash or a full disk, and is left out.  Raises Unreadable, OSError.
    """
    try:
        found = [parse_json(line) for line in read_lines(path, limit=limit) if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
    for number, entry in enumerate(found, start=1):
        if not isinstance(entry, dict):
            raise Unreadable(f"has no object in line {number}")
    return found


def check_plain(path: Path, *, limit: int = ARRAYS) -> Path:
    """The path, if it is that of a plain file, for a library that opens files itself.  Raises Unreadable, OSError."""
    open_plain(path, limit=limit).close()
    return path


def open_plain(path: Path, *, limit: int, links: bool = True) -> IO[bytes]:
    """Open for reading without ever waiting.  Raises Unreadable for what is no plain file or larger, OSError."""
    _check_kind(os.stat(path, follow_symlinks=links), limit)
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    # Another may stand there by now.
    flags |= getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _check_kind(os.fstat(file.fileno()), limit)
    except Unreadable:
        file.close()
        raise
    return file


def printable(text: str) -> str:
    """A text of a file that anybody may have written, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text)


def _check_kind(found: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_one, name in _KINDS if is_one(found.st_mode)), "a device")
        raise Unreadable(f"is {kind}, not a plain file")
    if found.st_size > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Unreadable:
    return Unreadable(f"is larger than the limit of {_size(limit)}")


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit} bytes"


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 at byte {error.start}") from None


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise Unreadable(f"has a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise Unreadable(f"is not JSON: {name} is no number")
