"""Every error's public facts, and that the documentation lists exactly these."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path

import grpc
import pytest

from heliograph import errors
from heliograph.cli import main
from heliograph.errors import INTERRUPTED_EXIT_CODE, HeliographError
from heliograph.stopping import NUMBERS

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent_node", "analysis", "coordinator", "heliograph", "trainer")
DOCUMENT = ROOT / "docs" / "errors.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| ([A-Z_]+) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def tree(root: type[HeliographError]) -> list[type[HeliographError]]:
    """Those of the errors' own module: what a package keeps for itself may be loaded by another test or not."""
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(below for child in children for below in tree(child))]


def test_documentation_lists_every_class_with_its_exit_code_and_status() -> None:
    documented = {name: (int(code), status) for name, code, status, *_ in ROW.findall(DOCUMENT.read_text())}
    assert documented == {error.__name__: (error.exit_code, error.grpc_status) for error in tree(HeliographError)}


def test_documentation_says_what_happened_and_what_to_do() -> None:
    for name, _, _, meaning, remedy in ROW.findall(DOCUMENT.read_text()):
        assert len(meaning.split()) >= 3, name
        assert len(remedy.split()) >= 2, name


def test_all_errors_of_the_module_are_in_the_tree() -> None:
    classes = (value for value in vars(errors).values() if isinstance(value, type))
    assert {value for value in classes if value.__module__ == errors.__name__} == set(tree(HeliographError))


def test_statuses_are_real_and_never_ok() -> None:
    for error in tree(HeliographError):
        assert grpc.StatusCode[error.grpc_status] is not grpc.StatusCode.OK


def test_each_family_has_an_exit_code_of_its_own() -> None:
    codes = [family.exit_code for family in HeliographError.__subclasses__()]
    assert len(set(codes)) == len(codes)
    assert not {0, HeliographError.exit_code, INTERRUPTED_EXIT_CODE} & set(codes)
    assert all(0 < error.exit_code < 126 for error in tree(HeliographError)), "126 and up belong to the shell"


def test_a_members_exit_code_is_its_familys_or_its_own_alone() -> None:
    all_codes = [error.exit_code for error in tree(HeliographError)]
    for family in HeliographError.__subclasses__():
        for error in tree(family):
            assert error.exit_code == family.exit_code or all_codes.count(error.exit_code) == 1, error


@pytest.mark.parametrize("error", tree(HeliographError))
def test_the_sentence_carries_the_remedy(error: type[HeliographError]) -> None:
    assert str(error("port 7 is taken", remedy="Use port 0")) == "port 7 is taken. Use port 0"
    assert str(error("port 7 is taken")) == "port 7 is taken"


def test_a_command_ends_with_the_errors_code_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from heliograph.environments import registry

    def fails() -> list[registry.KnownEnvironment]:
        raise errors.MissingExtra("no wheel here", remedy="Install it")

    monkeypatch.setattr(registry, "known", fails)
    assert main(["environments"]) == errors.MissingExtra.exit_code
    assert capsys.readouterr().err == "heliograph environments: no wheel here. Install it\n"


def test_an_interrupted_command_exits_like_the_shell_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from heliograph.environments import registry

    def interrupted() -> list[registry.KnownEnvironment]:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "known", interrupted)
    assert main(["environments"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("number", NUMBERS)
def test_a_command_that_is_interrupted_while_it_is_loaded_is_one_sentence_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda _: signal.raise_signal(number))
    assert main(["environments"]) == 130
    assert capsys.readouterr().err == "heliograph environments: interrupted\n"


@pytest.mark.parametrize(("rank", "said"), [("0", "heliograph environments: interrupted\n"), ("1", "")])
def test_of_several_ranks_the_first_alone_says_that_it_is_interrupted_while_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, said: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(EntryPoint, "load", lambda _: signal.raise_signal(signal.SIGTERM))
    assert main(["environments"]) == 130
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("together_s", "tidied"), [(60, True), (0, False)], ids=["at once", "later"])
def test_a_signal_once_a_command_has_said_its_last_changes_nothing_of_how_it_ended(
    tmp_path: Path, number: signal.Signals, together_s: int, tidied: bool
) -> None:
    script = (
        f"import atexit, signal, sys; from heliograph import cli; cli.TOGETHER_S = {together_s}; "
        f"sys.argv[1:] = ['health', '--run', {str(tmp_path)!r}]; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); code = cli.main(); "
        f"atexit.register(print, 'all was tidied up'); atexit.register(signal.raise_signal, {int(number)}); "
        "sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == main(["health", "--run", str(tmp_path)]) != 0
    assert tidied == ended.stdout.endswith("all was tidied up\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_while_python_takes_itself_down_changes_nothing_either(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import signal, sys; from heliograph import cli; "
        f"sys.argv[1:] = ['health', '--run', {str(tmp_path)!r}]; "
        f"end = lambda _, send=signal.raise_signal: send({int(number)}); "
        "last = type('Last', (), {'__del__': end})(); sys.exit(cli.main())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == main(["health", "--run", str(tmp_path)])
    assert "Traceback" not in ended.stderr


def test_what_cannot_be_written_is_told_by_one_kind_of_error() -> None:
    raised = re.compile(r'raise (\w+)\(\s*f?"cannot (?:write|make the folder|make run folder)')
    found = Counter(
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in raised.findall(path.read_text(encoding="utf-8"))
    )
    # Of a checkpoint the one before is still whole, which has a code of its own.
    assert found.keys() == {"OutputFailed", "ArgumentTypeError", "CheckpointError"}
    assert found["OutputFailed"] > 20
