"""What the system refuses is a sentence with what to do about that reason, and not about another."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from relay_team import relay_bundles

from heliograph import cli
from heliograph.bundle import load
from heliograph.documents import write_json
from heliograph.errors import BundleCorrupt, OutputFailed, SettingsError
from heliograph.run_status import STATUS, read_status
from heliograph.system_refusals import remedy_for


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EACCES, "Give this user the right to it"),
        (errno.EROFS, "name another place"),
        (errno.EMFILE, "open files"),
        (errno.ENOENT, "leave what it names in its place"),
        (errno.ENOTTY, "as the caller says"),
    ],
)
def test_each_reason_has_its_remedy(number: int, remedy: str) -> None:
    assert remedy in remedy_for(OSError(number, "no"), otherwise="as the caller says")
    numbered = RuntimeError(f"I/O error: no (os error {number})")
    assert remedy in remedy_for(numbered, otherwise="as the caller says"), "a library in Rust says it so"
    assert remedy_for(RuntimeError("no"), otherwise="as the caller says") == "as the caller says"


def _refused(number: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_command_says_what_to_do_where_no_error_of_ours_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.Command(summary="", configure=lambda parser: None, run=lambda _: _refused(errno.EACCES)() or 0)
    assert cli.run({"write": command}, ["write"]) == cli.MACHINE_EXIT_CODE
    assert capsys.readouterr().err == (
        "heliograph write: Permission denied. Give this user the right to it, or work as who has it\n"
    )


def test_a_document_that_may_not_be_written_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.documents.write_text", _refused(errno.ENOSPC))
    with pytest.raises(OutputFailed, match=r"No space left on device\. Make room on that disk"):
        write_json({}, tmp_path / "report.json")
    (tmp_path / STATUS).write_text("{}")
    monkeypatch.setattr("heliograph.documents.read_json", _refused(errno.EACCES))
    with pytest.raises(SettingsError, match=r"Permission denied\. Give this user the right to it"):
        read_status(tmp_path)


def test_a_bundle_whose_folder_may_not_be_entered_is_not_said_to_lack_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent-0"
    relay_bundles(2)[0].save(path)

    original = os.lstat

    def lstat(name: Path, **arguments: int) -> os.stat_result:
        if Path(name).parent == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(name, **arguments)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(BundleCorrupt, match=r"cannot read bundle .*: Permission denied. Give this user the right"):
        load(path)


@pytest.mark.parametrize("name", ["agent-0", "agent-0.tar"])
def test_a_bundle_that_a_full_disk_does_not_take_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, bundle = tmp_path / name, relay_bundles(2)[0]
    bundle.save(path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "fsync", _refused(errno.ENOSPC))
    for write in (bundle.save, bundle.sign(bytes(32)).save_signature):
        with pytest.raises(OutputFailed, match="No space left"):
            write(path)
        assert sorted(tmp_path.rglob("*")) == before
    assert load(path) == bundle
