"""What a command cannot write is refused before its work, by every command, and trying leaves no trace."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.cli import available_commands, main, make_parser
from heliograph.errors import OutputFailed
from heliograph.output_arguments import check_output_folder, output_file, output_folder

OUTPUTS = {"--json", "--out", "--to", "--marl-eval", "--record", "--frames", "--log-folder"}
NOT_TRIED = {
    "campaign run --out": "marked and locked before anything runs",
    "campaign tune --out": "the same",
    "campaign work --out": "the same",
    "campaign render --out": "of other machines",
    "campaign report --out": "only read",
    "certificates issue --out": "written at once",
    "certificates issue --to": "its older name",
    "pull --to": "refused if it is there, and made first",
}


def test_what_can_be_written_is_a_path(tmp_path: Path) -> None:
    assert output_file("-") == Path("-")
    new = tmp_path / "no" / "folder" / "yet.json"
    assert output_file(str(new)) == new
    assert output_folder(str(new.parent)) == new.parent
    assert list(tmp_path.iterdir()) == [], "nothing is made before there is something to write"


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "report.json"
    there.write_text("earlier")
    os.utime(there, ns=(1, 1))
    assert output_file(str(there)) == there
    assert there.read_text() == "earlier"
    assert there.stat().st_mtime_ns == 1
    assert list(tmp_path.iterdir()) == [there]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """It would wait for somebody who reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert output_file(str(pipe)) == pipe
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "it is a folder"),
        ("file/under.json", "file is no folder"),
        ("/proc/under.json", ""),
        ("n" * 300, "too long"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(argparse.ArgumentTypeError, match=rf"^cannot write {tmp_path / name}: .*{reason}"):
        output_file(str(tmp_path / name))


@pytest.mark.parametrize("name", ["file", "file/under", "/proc/under"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(argparse.ArgumentTypeError, match=f"^cannot write to {tmp_path / name}: "):
        output_folder(str(tmp_path / name))
    with pytest.raises(OutputFailed, match=f"cannot write to {tmp_path / name}: .*Name another folder"):
        check_output_folder(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write what others may not")
def test_what_belongs_to_others_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "report.json"
    there.write_text("")
    there.chmod(0o400)
    tmp_path.chmod(0o500)
    with pytest.raises(argparse.ArgumentTypeError, match="Permission denied"):
        output_file(str(there))
    with pytest.raises(argparse.ArgumentTypeError, match="Permission denied"):
        output_folder(str(tmp_path / "new"))


def _outputs(parser: argparse.ArgumentParser, command: str) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                yield from _outputs(subparser, f"{command} {name}".strip())
        elif OUTPUTS & set(action.option_strings) and action.nargs != 0:
            yield f"{command} {action.option_strings[0]}", action


def test_every_command_tries_what_it_will_write() -> None:
    found = dict(_outputs(make_parser({name: each.load() for name, each in available_commands().items()}), ""))
    assert len(found) > 30
    assert {name for name, action in found.items() if action.type is Path} == set(NOT_TRIED)
    for name, action in found.items():
        if name not in NOT_TRIED:
            assert callable(action.type)
            with pytest.raises(argparse.ArgumentTypeError):
                action.type("/proc/no/such/place.gif")


def test_it_is_refused_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["evaluate", "no-bundles", "--json", "/proc/report.json"])
    assert ending.value.code == 2
    assert "argument --json: cannot write /proc/report.json: " in capsys.readouterr().err
