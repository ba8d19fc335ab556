"""A command that has subcommands, each with arguments and a `--help` of its own: `heliograph bandwidth measure`.

Cheap to import, as command modules are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from heliograph.cli import Command, add_command


def with_subcommands(summary: str, subcommands: Mapping[str, Command], *, default: str | None = None) -> Command:
    """The command of these subcommands; `default` is run by command lines that name none, as older ones do."""

    def configure(parser: argparse.ArgumentParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, subcommand in subcommands.items():
            # What is not given here must not replace what was given before the subcommand's name.
            add_command(subparsers, name, subcommand, log_defaults=False)

    def complete(words: Sequence[str]) -> list[str]:
        place = next((place for place, word in enumerate(words) if word in subcommands), None)
        if place is not None:
            return [*words[: place + 1], *subcommands[words[place]].complete(words[place + 1 :])]
        if default is None or all(word.startswith("-") for word in words):
            return list(words)
        return [default, *subcommands[default].complete(words)]

    def run(namespace: argparse.Namespace) -> int:
        return subcommands[namespace.subcommand].run(namespace)

    return Command(summary=summary, configure=configure, run=run, complete=complete)
