"""Files of one JSON object that names its format and version: written whole or not at all, read strictly.

    {"format": "heliograph-sweep", "version": 1, …fields…}

A format is declared once, beside the code that knows its fields, and both reads and writes:

    CELL = DocumentFormat(name="heliograph-bandwidth-cell", version=1, what="the cell", remedy="Remove it")
    CELL.write(path, {"cell": …})
    result = CELL.find(path, parse)  # None where there is no file

Files with an object per line say the same in their first line, which `document` makes and `check` reads.  A document
whose place says what it is, as in the folder of a checkpoint, has no name and says `{"format_version": 2, …}`.  Any
package may import this.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from heliograph.errors import OutputFailed, SettingsError
from heliograph.library_errors import cause_of
from heliograph.reading import DOCUMENT, read_json
from heliograph.system_refusals import remedy_for
from heliograph.writing import write_text

ParsedT = TypeVar("ParsedT")

_UNPARSABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a parser of fields raises for those of another writer; Unreadable is a ValueError."""


class WrongDocument(ValueError):
    """A document is of another format or version: what it is, and what to do about it."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class DocumentFormat:
    """A kind of document, of the version that this program writes and reads."""

    name: str | None
    """As the document says it, such as "heliograph-sweep"; None: its place says it."""
    version: int
    what: str
    """How a sentence calls such a file, such as "the cell"."""
    remedy: str = ""
    """What to do about a file that is none, as a sentence without a full stop."""
    older: Mapping[int, str] = field(default_factory=dict)
    """By an older version: what makes a document of this version out of one of that, as a sentence."""
    unsaid: int | None = None
    """The version of a document that says none, where some were written before they did; for those without a name."""

    def document(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The whole object."""
        return {**self._stamp, **fields}

    def text(self, fields: Mapping[str, Any]) -> str:
        """The whole file."""
        return text_of(self.document(fields))

    def check(self, document: Any) -> dict[str, Any]:
        """The fields of a document.

        Raises WrongDocument unless it says that it is of this format and version, ValueError if it is no object.
        """
        if not isinstance(document, dict):
            raise ValueError(f"it is no object, and what is read here is {self._named(self.name, self.version)}")
        if self.name is None and self.unsaid is not None:
            document = {"format_version": self.unsaid, **document}
        found = {key: document.get(key) for key in self._stamp}
        name, version = found.get("format"), next(reversed(found.values()))
        if found != self._stamp or type(version) is not int:
            read_here = self._named(self.name, self.version)
            raise WrongDocument(
                f"it is {self._named(name, version)}, and what is read here is {read_here}",
                remedy=self._remedy_for(name, version),
            )
        return {key: value for key, value in document.items() if key not in found}

    def write(self, path: Path, fields: Mapping[str, Any]) -> None:
        """Replace the file in one go, and make its folder: whoever reads it finds the old document or the new.

        Raises OutputFailed.
        """
        write_json(self.document(fields), path)

    def read(self, path: Path, parse: Callable[[dict[str, Any]], ParsedT], *, limit: int = DOCUMENT) -> ParsedT:
        """What `parse` makes of the fields of a file of at most `limit` bytes.

        `parse` raises ValueError, or KeyError and the like, for fields that are not as they should be.  Raises
        SettingsError, also where there is no file.
        """
        found = self.find(path, parse, limit=limit)
        if found is None:
            raise SettingsError(f"cannot read {self.what} {path}: there is no such file", remedy=self.remedy)
        return found

    def find(self, path: Path, parse: Callable[[dict[str, Any]], ParsedT], *, limit: int = DOCUMENT) -> ParsedT | None:
        """`read`; None where there is no file."""
        try:
            return parse(self.check(read_json(path, limit=limit)))
        except FileNotFoundError:
            return None
        except WrongDocument as error:
            cause, remedy = str(error), error.remedy
        except KeyError as error:
            cause, remedy = f"it lacks {error}", self.remedy
        except OSError as error:
            cause, remedy = error.strerror or str(error), remedy_for(error, otherwise=self.remedy)
        except _UNPARSABLE as error:
            cause, remedy = cause_of(error), self.remedy
        raise SettingsError(f"cannot read {self.what} {path}: {cause}", remedy=remedy)

    @property
    def _stamp(self) -> dict[str, Any]:
        """What a document begins with: its version comes last."""
        if self.name is None:
            return {"format_version": self.version}
        return {"format": self.name, "version": self.version}

    def _named(self, name: Any, version: Any) -> str:
        return f"of version {version!r}" if self.name is None else f"{name!r} of version {version!r}"

    def _remedy_for(self, name: Any, version: Any) -> str:
        if name != self.name or type(version) is not int:
            return self.remedy
        if version > self.version:
            return "Use the version of heliograph that wrote it, or a newer one"
        return self.older.get(version, self.remedy)


def text_of(document: Mapping[str, Any]) -> str:
    """A document as a file holds it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def write_json(document: Mapping[str, Any], path: Path | None) -> None:
    """Write a whole document to a file, or to stdout for `-`; nowhere for None.  Raises OutputFailed."""
    if path is None:
        return
    text = text_of(document)
    if path == Path("-"):
        sys.stdout.write(text)
        return
    try:
        write_text(path, text)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", remedy=remedy_for(error)) from error


def finite(value: Any) -> Any:
    """The same with null in place of the numbers that JSON has not: NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
