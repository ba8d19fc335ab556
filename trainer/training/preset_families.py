"""The presets in words: what each family of them is for, and its members.  Imports no framework."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from heliograph.settings import read_toml
from trainer.training.preset import members

WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Family:
    """The presets of one file, whose names are `name`, `name-VARIANT` or `name-VARIANT-FLAVOUR`."""

    name: str
    purpose: str
    variants: tuple[str, ...]
    """Worlds; none if the file is one preset."""
    flavours: tuple[str, ...]
    base: str | None
    """The family that it has its variants from; None if they are its own, or there are none."""


def families() -> list[Family]:
    """All that come with the trainer, by name."""
    by_file: dict[Path, list[tuple[str | None, str | None]]] = {}
    for member in members().values():
        by_file.setdefault(member.path, []).append((member.variant, member.flavour))
    return [_family(path, by_file[path]) for path in sorted(by_file, key=lambda path: path.stem)]


def _family(path: Path, found: list[tuple[str | None, str | None]]) -> Family:
    content = read_toml(path)
    comment = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    variants = tuple(sorted({variant for variant, _ in found if variant is not None}))
    return Family(
        name=path.stem,
        purpose=" ".join(line.removeprefix("#").strip() for line in comment),
        variants=variants,
        flavours=tuple(sorted({flavour for _, flavour in found if flavour is not None})),
        base=content["base"] if variants and "variants" not in content else None,
    )


def in_words() -> str:
    """A paragraph for each family."""
    return "\n".join(map(_paragraph, families()))


def _paragraph(family: Family) -> str:
    head = family.name
    if family.variants:
        head += f"-WORLD[{'|'.join(f'-{flavour}' for flavour in family.flavours)}]"
    lines = [head, _indented(family.purpose)]
    if family.variants:
        worlds = ", ".join(family.variants) if family.base is None else f"those of {family.base}"
        lines.append(_indented(f"WORLD: {worlds}"))
    return "\n".join(lines)


def _indented(text: str) -> str:
    margin = " " * 4
    return textwrap.fill(
        text,
        width=WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
