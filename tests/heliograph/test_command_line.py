"""What every command does before its own work."""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph import errors
from heliograph.cli import GARBAGE_THRESHOLDS, MACHINE_EXIT_CODE, Command, available_commands, main, make_parser, run
from heliograph.errors import EXIT_CODES


def test_grpc_tells_of_errors_alone_unless_the_user_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    assert main(["environments", "--json"]) == 0
    assert os.environ["GRPC_VERBOSITY"] == "ERROR"
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    assert main(["environments", "--json"]) == 0
    assert os.environ["GRPC_VERBOSITY"] == "DEBUG"


def test_garbage_is_collected_seldom_in_a_process_of_the_commands_own_alone() -> None:
    before = gc.get_threshold()
    assert main(["environments", "--json"]) == 0
    assert gc.get_threshold() == before, "a program that calls it keeps its own"
    script = (
        "import gc, sys; from heliograph.cli import main; sys.argv[1:] = ['environments', '--json']; "
        "code = main(); print(gc.get_threshold(), file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stderr == f"{GARBAGE_THRESHOLDS}\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7.28 TiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 99 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
    ids=["numpy", "cpu", "gpu"],
)
def test_what_asks_for_more_memory_than_there_is_gets_a_sentence(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def ask(_: object) -> int:
        raise error

    greedy = Command(summary="asks for too much", configure=lambda _: None, run=ask)
    assert run({"greedy": greedy}, ["greedy"]) == MACHINE_EXIT_CODE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"heliograph greedy: there is not enough memory ({error}). Fewer copies")


def test_another_error_of_the_program_is_no_want_of_memory() -> None:
    def break_down(_: object) -> int:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    broken = Command(summary="breaks", configure=lambda _: None, run=break_down)
    with pytest.raises(RuntimeError, match="shapes"):
        run({"broken": broken}, ["broken"])


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """It, and those of all its commands and of theirs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def test_every_help_names_the_exit_codes_and_what_may_be_given_several_times() -> None:
    commands = {name: entry.load() for name, entry in available_commands().items()}
    found = list(parsers(make_parser(commands)))
    assert len(found) > len(commands) > 10
    for parser in found:
        shown = " ".join(parser.format_help().split())
        assert EXIT_CODES in shown, parser.prog
        several = [each for each in parser._actions if isinstance(each, argparse._AppendAction)]
        assert shown.count("may be given several times") == len(several), parser.prog


def test_no_exit_code_of_an_error_is_missing_in_help() -> None:
    named = {int(code) for code in re.findall(r"\b\d+\b", EXIT_CODES)}
    raised = {
        each.exit_code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)
    }
    assert named == {0, errors.INTERRUPTED_EXIT_CODE} | raised


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_an_interruption_amid_code_in_a_string_has_its_exit_code(tmp_path: Path, number: str) -> None:
    """Loading a command runs such code; with -m Python ends as if by SIGINT where it was interrupted in it."""
    (tmp_path / "interrupted_amid.py").write_text(
        "import sys\n"
        "from heliograph import cli\n"
        f"TEXT = 'import signal; signal.raise_signal(signal.{number})\\nwhile True: pass'\n"
        "cli._find_and_run = lambda argv: exec(TEXT)\n"
        "sys.exit(cli.main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted_amid"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stderr == "heliograph: interrupted\n"
    assert ended.returncode == errors.INTERRUPTED_EXIT_CODE
