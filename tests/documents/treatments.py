"""What is run otherwise than printed, or not at all: `treatments.toml`, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from documents.blocks import Block

FILE = Path(__file__).with_name("treatments.toml")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """How a command is run.  `treated` False: as printed."""

    run: str
    before: str = ""
    background: str = ""
    """"ends": until the block ends, and by itself then; "stop": until it is told to."""
    shared: bool = False
    treated: bool = True


@dataclass(frozen=True, kw_only=True)
class Treatments:
    """All entries of the file."""

    document: dict[str, Any]

    @classmethod
    def read(cls) -> Treatments:
        return cls(document=tomllib.loads(FILE.read_text(encoding="utf-8")))

    def of_command(self, command: str) -> Shrunk | None:
        """How to run a command; None: not at all."""
        if any(entry.get("command") == command for entry in self.document["not_run"]):
            return None
        for entry in self.document["shrunk"]:
            if entry["command"] == command:
                options = {name: entry[name] for name in ("before", "background", "shared") if name in entry}
                return Shrunk(run=entry["as"], **options)
        return Shrunk(run=command, treated=False)

    def entry(self, kind: str, block: Block) -> dict[str, Any] | None:
        """That of a whole block."""
        return next((entry for entry in self.document[kind] if entry.get("block") == block.name), None)

    @property
    def not_run(self) -> list[dict[str, Any]]:
        return self.document["not_run"]

    def unmatched(self, found: list[Block]) -> Iterator[str]:
        """Entries that are of nothing in the documents any more."""
        commands = {command for block in found for command in block.commands}
        names = {block.name for block in found}
        for kind in ("not_run", "shrunk", "checked", "python"):
            for entry in self.document[kind]:
                if entry.get("command", entry.get("block")) not in (commands if "command" in entry else names):
                    yield f"[[{kind}]] {entry.get('command', entry.get('block'))}"

    def dishonest(self) -> Iterator[str]:
        """Entries that do not shrink their command: another program, or an option that is left out."""
        for entry in self.document["shrunk"]:
            printed, run = entry["command"], entry["as"]
            left_out = set(OPTION.findall(printed)) - set(OPTION.findall(run))
            if printed.split()[:2] != run.split()[:2] or left_out:
                yield f"{printed}: run as {run}"
