"""Commands with subcommands: each parses its own arguments, and command lines that name none mean the default."""

import argparse
from dataclasses import replace

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


@pytest.mark.parametrize("named", [["read"], []])
def test_a_subcommand_completes_the_words_after_its_name(calls, named):
    read = recorded(calls, "read", "--tongue")
    read = replace(read, complete=lambda words: ["first", *words])
    tool = {"letters": with_subcommands("letters", {"read": read}, default="read")}
    assert cli.run(tool, ["letters", *named, "a"]) == 3
    assert calls == [("read", ["first", "a"], None, "warning")]


def test_every_subcommand_has_help_of_its_own(tool, capsys):
    for words, shown in (([], "to read"), (["read"], "--tongue"), (["weigh"], "--scale")):
        with pytest.raises(SystemExit) as stop:
            cli.run(tool, ["letters", *words, "--help"])
        assert stop.value.code == 0
        assert shown in capsys.readouterr().out


def test_a_subcommand_s_help_says_the_log_options_defaults(tool, capsys):
    with pytest.raises(SystemExit):
        cli.run(tool, ["letters", "weigh", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "verbosity on stderr (default: warning)" in shown
    assert "json: one object per line (default: text)" in shown


def test_an_option_is_taken_by_its_old_name_which_no_help_shows(capsys):
    parser = argparse.ArgumentParser()
    cli.keep_old_name(parser, "--to", parser.add_argument("--out", type=int, default=1))
    assert [parser.parse_args(words).out for words in ([], ["--out", "2"], ["--to", "3"])] == [1, 2, 3]
    parser.print_help()
    assert "--to" not in capsys.readouterr().out
