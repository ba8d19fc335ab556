"""The presets in words: what each family of them is for, and its members.  Imports no framework."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from heliograph.settings import read_toml
from trainer.preset import members, preset_folder

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
    """The family that it has its variants from."""


def families() -> list[Family]:
    """All that come with the trainer, by name."""
    by_file: dict[Path, list[tuple[str | None, str | None]]] = {}
    for member in members().values():
        by_file.setdefault(member.path, []).append((member.variant, member.flavour))
    return [_family(path, by_file[path]) for path in sorted(by_file, key=lambda path: path.stem)]


def _family(path: Path, found: list[tuple[str | None, str | None]]) -> Family:
    content = read_toml(path)
    comment = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    base = content.get("base")
    return Family(
        name=path.stem,
        purpose=" ".join(line.removeprefix("#").strip() for line in comment),
        variants=tuple(sorted({variant for variant, _ in found if variant is not None})),
        flavours=tuple(sorted({flavour for _, flavour in found if flavour is not None})),
        base=base if "variants" not in content and (preset_folder() / f"{base}.toml").is_file() else None,
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
        own = family.base is None
        lines.append(_indented("WORLD: " + (", ".join(family.variants) if own else f"those of {family.base}")))
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
