"""Commands with subcommands: each parses its own arguments, and command lines that name none mean the default."""

import argparse

import pytest

from heliograph import cli
from heliograph.subcommands import with_subcommands


def recorded(calls, name, option):
    """A subcommand with one option of its own that keeps what it was called with."""

    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+")
        parser.add_argument(option)

    def run(namespace: argparse.Namespace) -> int:
        calls.append((name, namespace.paths, getattr(namespace, option.lstrip("-")), namespace.log_level))
        return 3

    return cli.Command(summary=f"to {name}", configure=configure, run=run)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def tool(calls):
    subcommands = {"weigh": recorded(calls, "weigh", "--scale"), "read": recorded(calls, "read", "--tongue")}
    return {"letters": with_subcommands("letters", subcommands, default="weigh")}


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["weigh", "a", "--scale", "x"], ("weigh", ["a"], "x", "warning")),
        (["read", "a", "b", "--tongue", "x"], ("read", ["a", "b"], "x", "warning")),
        (["a", "b"], ("weigh", ["a", "b"], None, "warning")),
        (["--scale", "x", "a"], ("weigh", ["a"], "x", "warning")),
        (["--log-level", "error", "read", "a"], ("read", ["a"], None, "error")),
        (["read", "a", "--log-level", "error"], ("read", ["a"], None, "error")),
    ],
)
def test_the_subcommand_gets_what_was_given(tool, calls, words, called):
    assert cli.run(tool, ["letters", *words]) == 3
    assert calls == [called]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["read", "a", "--scale", "x"], "unrecognized arguments: --scale"),
        (["a", "--scale", "read"], "choose from 'weigh', 'read'"),
        ([], "required: subcommand"),
    ],
)
def test_what_no_subcommand_takes_is_refused(tool, calls, capsys, words, said):
    with pytest.raises(SystemExit) as stop:
        cli.run(tool, ["letters", *words])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not calls


def test_every_subcommand_has_help_of_its_own(tool, capsys):
    for words, shown in (([], "to read"), (["read"], "--tongue"), (["weigh"], "--scale")):
        with pytest.raises(SystemExit) as stop:
            cli.run(tool, ["letters", *words, "--help"])
        assert stop.value.code == 0
        assert shown in capsys.readouterr().out
