"""The code blocks of a Markdown document, fenced and indented, and the commands in those for a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable("table")
SHELL = ("sh", "bash", "shell", "console")
PYTHON = ("py", "python")
COMMENT = re.compile(r"(^|\s)#.*$")
PROGRAMS = ("cd", "docker", "heliograph", "helm", "kubectl", "make", "pip", "python", "sudo")
"""What an indented block for a shell begins with, which cannot name its language.  One that begins with anything else
has none, and must be listed."""
VARIABLES = re.compile(r"^(?:[A-Z_]+=\S+\s+)*")


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


def documents(repository: Path) -> list[Path]:
    """README.md, then every document in docs/, in order."""
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def blocks(repository: Path) -> Iterator[Block]:
    """Those of all documents."""
    for path in documents(repository):
        yield from blocks_of(path.read_text(encoding="utf-8"), document=str(path.relative_to(repository)))


def blocks_of(text: str, *, document: str) -> Iterator[Block]:
    """Those of one document, wherever they stand: in an item of a list, they are indented from there."""
    for found in MARKDOWN.parse(text):
        if found.type not in ("fence", "code_block"):
            continue
        content = found.content.rstrip("\n")
        language = next(iter(found.info.split()), "") if found.type == "fence" else language_of(content)
        yield Block(document=document, language=language, text=content)


def language_of(text: str) -> str:
    """What a block that names no language is for: a shell, or nothing that is known."""
    begins = VARIABLES.sub("", text).split()
    return SHELL[0] if begins[:1] and begins[0] in PROGRAMS else ""


def spans(repository: Path) -> Iterator[tuple[str, str]]:
    """What stands between backticks in sentences and tables: a document, and the code."""
    for path in documents(repository):
        for found in MARKDOWN.parse(path.read_text(encoding="utf-8")):
            for part in found.children or ():
                if part.type == "code_inline":
                    yield str(path.relative_to(repository)), part.content
