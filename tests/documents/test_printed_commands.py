"""Every command that README.md and docs/ print is one of today, also where nothing runs it: a renamed option is found.

Options and arguments are those of the command's own parser, settings of a training and runs of a campaign resolve, and
what is named of the repository is there.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from documents.blocks import VARIABLES, blocks, spans
from documents.workplace import REPOSITORY

from heliograph.cli import Command, available_commands, main, make_parser

ENDS = ("&&", "||", "|", ";", "&")
OF_THE_REPOSITORY = re.compile(r"(?:benchmarks|campaigns|deploy|examples)/\S+|compose[.\w]*\.yaml")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
COMMANDS = [(block.document, command) for block in blocks(REPOSITORY) for command in block.commands]


def parts(line: str) -> Iterator[list[str]]:
    """The words of each command of a line, without variables that are set for it."""
    words: list[str] = []
    for word in [*shlex.split(line), ENDS[0]]:
        if word not in ENDS:
            words += [word] if words or not VARIABLES.fullmatch(f"{word} ") else []
        elif words:
            yield words
            words = []


def words_of_ours(line: str) -> Iterator[list[str]]:
    """What follows `heliograph`, or `-m heliograph`, in each command of a line."""
    for words in parts(line):
        if words[0] == "heliograph":
            yield words[1:]
        elif "heliograph" in words and words[words.index("heliograph") - 1] == "-m":
            yield words[words.index("heliograph") + 1 :]


@cache
def commands() -> dict[str, Command]:
    return {name: entry.load() for name, entry in available_commands().items()}


@cache
def parser() -> argparse.ArgumentParser:
    """That of the console script, which takes no abbreviation: it would be another option's once there is one."""
    whole = make_parser(commands())
    waiting = [whole]
    while waiting:
        one = waiting.pop()
        one.allow_abbrev = False
        waiting += subparsers(one).values()
    return whole


def subparsers(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (action for action in one._actions if isinstance(action, argparse._SubParsersAction))
    return dict(next(found, argparse.Namespace(choices={})).choices)


def complete(words: Sequence[str]) -> list[str]:
    """As it would be parsed: a subcommand that need not be said is."""
    name, *rest = words
    return [name, *commands()[name].complete(rest)] if name in commands() else list(words)


def refused(words: Sequence[str]) -> bool:
    try:
        parser().parse_args(complete(words))
    except SystemExit:
        return True
    return False


def unknown(words: Sequence[str]) -> list[str]:
    """The options that no help of this command shows, and a command that is none."""
    one = parser()
    found = []
    for word in complete(words):
        if subparsers(one):
            if not word.startswith("-") and word not in subparsers(one):
                return [word]
            one = subparsers(one).get(word, one)
        shown = {name for action in one._actions if action.help != argparse.SUPPRESS for name in action.option_strings}
        found += [] if word.partition("=")[0] in shown else OPTION.findall(word.partition("=")[0])
    return found


def settings_are_wrong(words: Sequence[str]) -> bool:
    """Whether a training or a campaign is refused before it begins; a file of the reader's own is nowhere yet."""
    given = parser().parse_args(complete(words))
    if given.command == "train" and given.resume is None:
        file = given.preset or ""
    elif given.command == "campaign" and given.subcommand == "run":
        file = str(given.file)
    else:
        return False
    if file.endswith(".toml") and "/" not in file:
        return False
    return main([*words, *(() if given.dry_run else ("--dry-run",))]) != 0


def script_of(words: Sequence[str]) -> str | None:
    return words[1] if words[0] == "python" and words[1:] and words[1].endswith(".py") else None


def test_every_command_of_ours_is_parsed() -> None:
    found = [words for _, line in COMMANDS for words in words_of_ours(line)]
    assert len(found) > 130
    assert not [" ".join(words) for words in found if refused(words) or unknown(words)]


def test_options_that_sentences_speak_of_are_there() -> None:
    found = [(document, code) for document, code in spans(REPOSITORY) if re.match(r"heliograph [a-z]", code)]
    assert len(found) > 80
    assert not [(document, code) for document, code in found for words in words_of_ours(code) if unknown(words)]


@pytest.mark.slow
def test_settings_of_trainings_and_campaigns_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = {tuple(words) for _, line in COMMANDS for words in words_of_ours(line)}
    assert not [" ".join(words) for words in sorted(found) if settings_are_wrong(words)]


def test_what_is_named_of_the_repository_is_there() -> None:
    found = {word for _, line in COMMANDS for words in parts(line) for word in words}
    named = [word for word in found if OF_THE_REPOSITORY.fullmatch(word)]
    assert len(named) > 40
    assert not [word for word in named if not (REPOSITORY / word).exists()]
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))
    wanted = {words[1] for _, line in COMMANDS for words in parts(line) if words[0] == "make"}
    assert wanted
    assert wanted <= targets


def test_options_of_scripts_are_theirs() -> None:
    """They are not parsed: that would load what each measures."""
    strange = []
    for _, line in COMMANDS:
        for words in parts(line.replace("cd benchmarks && python ", "python benchmarks/").removeprefix("sudo ")):
            if (script := script_of(words)) is not None:
                text = (REPOSITORY / script).read_text(encoding="utf-8")
                options = [option for word in words for option in OPTION.findall(word)]
                strange += [f"{script} {option}" for option in options if f'"{option}"' not in text]
    assert not strange


@pytest.mark.parametrize(
    "line",
    [
        "heliograph trian --preset relay",
        "heliograph train --presets relay",
        "heliograph evaluate runs/relay --episode 3",
        "heliograph node --coordinator a:1 --started-by 3",
        "true && A=1 heliograph run --bundles a --no-such",
        "torchrun --nproc-per-node 2 -m heliograph train --preset relay --no-such",
    ],
)
def test_what_is_of_another_day_is_told(line: str) -> None:
    (words,) = words_of_ours(line)
    assert refused(words) or unknown(words)
    assert unknown(words)


def test_a_setting_that_is_none_is_told() -> None:
    assert settings_are_wrong(["train", "--preset", "relay", "--set", "mamba.model.hiden=3"])
    assert settings_are_wrong(["train", "--preset", "no-such"])
    assert settings_are_wrong(["campaign", str(Path("campaigns") / "no-such.toml")])
    assert not settings_are_wrong(["train", "--preset", "own.toml"])
