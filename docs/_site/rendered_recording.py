"""The reference of a recording's lines: what the schema declares of each field."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.recording.schema import Line


def render() -> str:
    """One table for each kind of line."""
    from coordinator.recording.schema import LINES

    return "\n\n".join(_section(line) for line in LINES)


def _section(line: type[Line]) -> str:
    from coordinator.recording.schema import OLDER, phrase, since

    rows = ["| field | value | meaning |", "|---|---|---|"]
    for name, field in line.model_fields.items():
        later = "" if since(field) == OLDER else f" Since version {since(field)}."
        meaning = f"{' '.join((field.description or '').split())}{later}"
        value = _in_powers(phrase(field)).replace("[", r"\[")  # which Markdown would take for a link
        rows.append(f"| `{field.alias or name}` | {value} | {meaning} |")
    return "\n\n".join(
        [f"## `{line.model_fields['kind'].default}`", inspect.cleandoc(line.__doc__ or ""), "\n".join(rows)]
    )


def _in_powers(text: str) -> str:
    """The largest numbers as people write them."""
    for power in (24, 63, 64):
        text = text.replace(f"..{2**power - 1}", f"..2^{power} - 1").replace(f"..{2**power}", f"..2^{power}")
    return text
