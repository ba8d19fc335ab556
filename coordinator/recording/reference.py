"""Writes `docs/recording.md`, the description of the file format, from its schema.

python -m coordinator.recording.reference > docs/recording.md
"""

from __future__ import annotations

import inspect

from coordinator.recording.schema import FORMAT, LINES, OLDER, VERSION, Line, phrase, since

INTRODUCTION = f"""\
# The file of a recording

What `--record` writes and `heliograph bandwidth recost` and `heliograph bandwidth language` read: one JSON object per
line, gzipped if the file's name ends in `.gz`.  `python -m coordinator.recording.reference` writes this page from the
schema that the writer and the reader share.

This is version {VERSION} of the format `{FORMAT}`.  Version {OLDER} is the same without the fields that say so, and is
still read; a file of any other version, or with a field too few or too many, is refused with the number of its line.

Letters are sizes: N agents, D numbers in an observation, A actions, or dimensions of a continuous one, K categoricals
of C classes in a message, S numbers in the simulator's global state.  i and j are slots of agents.  Numbers that were
float32 read back exactly.  Whom a message was sent to is not written, because it follows from who receives from
whom: it goes at once to whoever has its sender as a neighbour at its step, and at the next step, if its sender still
takes part, to whoever has it as a neighbour then and has not got it.
"""


def reference() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *(_section(line) for line in LINES)])


def _in_powers(text: str) -> str:
    """The largest numbers as people write them."""
    for power in (24, 63, 64):
        text = text.replace(f"..{2**power - 1}", f"..2^{power} - 1").replace(f"..{2**power}", f"..2^{power}")
    return text


def _section(line: type[Line]) -> str:
    rows = [f"## `{line.model_fields['kind'].default}`", "", inspect.cleandoc(line.__doc__ or ""), ""]
    rows += ["| field | value | meaning |", "|---|---|---|"]
    for name, field in line.model_fields.items():
        later = "" if since(field) == OLDER else f" Since version {since(field)}."
        meaning = f"{' '.join((field.description or '').split())}{later}"
        value = _in_powers(phrase(field)).replace("[", r"\[")  # which Markdown would take for a link
        rows.append(f"| `{field.alias or name}` | {value} | {meaning} |")
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    print(reference(), end="")
