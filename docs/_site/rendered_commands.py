"""The reference of the commands: the text that each prints for `--help`, and those of its own subcommands."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

COLUMNS = 100


def render() -> str:
    """One heading and one block for each command, in alphabetical order."""
    from heliograph.cli import available_commands, make_parser

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(COLUMNS)  # argparse goes by the width of the terminal
    try:
        commands = {name: entry.load() for name, entry in available_commands().items()}
        parser = make_parser(commands)
        return "\n\n".join(
            f"{'#' * level} `{command.prog}`\n\n```text\n{command.format_help().rstrip()}\n```"
            for level, command in _parsers(parser, level=2)
        )
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _parsers(parser: argparse.ArgumentParser, *, level: int) -> Iterator[tuple[int, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield level, command
                yield from _parsers(command, level=level + 1)
