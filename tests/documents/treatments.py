"""What is run otherwise than printed, or not at all: `treatments.toml`, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from documents.blocks import SHELL, VARIABLES, Block

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

    def of_command(self, command: str, document: str) -> Shrunk | None:
        """How to run a command of a document; None: not at all."""
        for entry in self.document["shrunk"]:
            if entry["command"] == command:
                options = {name: entry[name] for name in ("before", "background", "shared") if name in entry}
                return Shrunk(run=entry["as"], **options)
        if any(is_of(entry, command, document) for entry in self.document["not_run"]):
            return None
        return Shrunk(run=command, treated=False)

    def runs(self, block: Block) -> list[Shrunk]:
        """What is run of a block for a shell, in order."""
        found = (self.of_command(command, block.document) for command in block.commands)
        return [how for how in found if how is not None and not how.shared]

    def has_to_do(self, block: Block) -> bool:
        """Whether anything of a block is run or checked, or should be."""
        return bool(self.runs(block)) if block.language in SHELL else self.entry("not_run", block) is None

    def entry(self, kind: str, block: Block) -> dict[str, Any] | None:
        """That of a whole block."""
        return next((entry for entry in self.document[kind] if entry.get("block") == block.name), None)

    def counts(self, found: list[Block]) -> dict[str, int]:
        """How often these blocks have what is not run, or run smaller."""
        hows = [self.of_command(command, block.document) for block in found for command in block.commands]
        return {
            "not_run_commands": sum(how is None for how in hows),
            "not_run_blocks": sum(self.entry("not_run", block) is not None for block in found),
            "shrunk_commands": sum(how is not None and how.treated for how in hows),
        }

    def miscounted(self, found: list[Block]) -> Iterator[str]:
        """Kinds of commands of which there are more or fewer than is said."""
        printed = [(command, block.document) for block in found for command in block.commands]
        for entry in self.document["not_run"]:
            if "begins" in entry:
                count = sum(is_of(entry, command, document) for command, document in printed)
                if count != entry["count"]:
                    yield f"{entry['begins']}: {count} instead of {entry['count']}"

    def unmatched(self, found: list[Block]) -> Iterator[str]:
        """Entries that are of nothing in the documents any more."""
        commands = {command for block in found for command in block.commands}
        names = {block.name for block in found}
        for kind in ("not_run", "shrunk", "checked", "python"):
            for entry in self.document[kind]:
                words = entry.get("command", entry.get("block"))
                # What begins so is counted.
                if "begins" not in entry and words not in (commands if "command" in entry else names):
                    yield f"{kind}: {words}"

    def dishonest(self) -> Iterator[str]:
        """Entries that do not shrink their command: another program, or an option that is left out."""
        for entry in self.document["shrunk"]:
            printed, run = entry["command"], entry["as"]
            left_out = set(OPTION.findall(printed)) - set(OPTION.findall(run))
            if printed.split()[:2] != run.split()[:2] or left_out:
                yield f"{printed}: run as {run}"


def is_of(entry: dict[str, Any], command: str, document: str) -> bool:
    """Whether an entry of what is not run is about a command of a document."""
    if "begins" not in entry:
        return entry.get("command") == command
    words = VARIABLES.sub("", command)
    return document.startswith(entry.get("under", "")) and words.startswith(tuple(entry["begins"]))
