"""The names of all commands, of subcommands as well, as their parsers know them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from heliograph.cli import Command, available_commands, make_parser


def commands() -> dict[str, Command]:
    """Those that are installed."""
    return {name: entry.load() for name, entry in available_commands().items()}


def command_names() -> set[str]:
    """Of what can be run: "train", and "bundle sign" but not "bundle"."""
    return set(_below(make_parser(commands())))


def command_name(words: Sequence[str]) -> str:
    """Which of them a command line runs."""
    found = commands()
    given = make_parser(found).parse_args([words[0], *found[words[0]].complete(words[1:])])
    return " ".join(filter(None, (given.command, getattr(given, "subcommand", None))))


def _below(parser: argparse.ArgumentParser, *above: str) -> Iterator[str]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield " ".join(above)
    for action in inner:
        for name, subparser in action.choices.items():
            yield from _below(subparser, *above, name)
