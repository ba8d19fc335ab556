"""The fenced code blocks of a Markdown document, and the commands in those for a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})(?P<language>[\w+-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.S | re.M)
SHELL = ("sh", "bash", "shell", "console")
PYTHON = ("py", "python")
COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, kw_only=True)
class Block:
    document: str
    """Path in the repository."""
    language: str
    text: str

    @property
    def name(self) -> str:
        """Its first line without a comment, which survives a move to another place."""
        return COMMENT.sub("", self.text.partition("\n")[0]).rstrip()

    @property
    def commands(self) -> tuple[str, ...]:
        """Of a block for a shell: a command per line, without comments; a line that ends in \\ goes on in the next."""
        if self.language not in SHELL:
            return ()
        lines = re.sub(r"\s*\\\n\s*", " ", self.text).splitlines()
        return tuple(command for line in lines if (command := COMMENT.sub("", line).strip()))


def blocks(repository: Path) -> Iterator[Block]:
    """Those of README.md, then of every document in docs/, in order."""
    for path in [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            yield Block(
                document=str(path.relative_to(repository)), language=found["language"], text=found["text"].rstrip("\n")
            )
