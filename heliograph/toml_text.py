"""Settings as TOML text, which Python reads and does not write.  Any package may import this."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def toml_document(values: Mapping[str, Any]) -> str:
    """A whole file: a line per key, with tables in braces.

    Values are text, whole numbers, floats, booleans, and lists and tables of these.  Raises TypeError for others.
    """
    return "".join(f"{_text(key)} = {toml_value(value)}\n" for key, value in values.items())


def toml_value(value: Any) -> str:
    """One value, in one line.  Raises TypeError for what TOML has not."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)} = {toml_value(entry)}" for key, entry in value.items()) + "}"
    raise TypeError(f"TOML has no {type(value).__name__} such as {value!r}")


def _text(text: str) -> str:
    """A basic string: as in JSON, but that nothing beyond ASCII is written in halves, and DEL is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
