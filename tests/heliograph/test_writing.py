"""Files that are replaced whole."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from heliograph.writing import replace_text, write_text


def test_a_file_has_the_new_text_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    for text in ("old", "new \u00fc"):
        replace_text(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.json"
    replace_text(file, "old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        replace_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    for mode in (0o600, 0o664, 0o444):
        write_text(file, "old")
        file.chmod(mode)
        write_text(file, "new")
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize("refused", [errno.EBUSY, errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    file = tmp_path / "one.json"
    file.write_text("old")
    before = file.stat().st_ino

    def refuse(*_: object) -> None:
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "replace", refuse)  # as for a file that is mounted by itself
    write_text(file, "new")
    assert file.read_text() == "new"
    assert file.stat().st_ino == before
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match=os.strerror(refused)):
        replace_text(file, "newer")
    assert file.read_text() == "new"


def test_a_name_as_long_as_may_be_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 250)
    for text in ("old", "new"):
        write_text(file, text)
        assert file.read_text() == text


def test_a_full_disk_costs_no_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.json"
    file.write_text("old")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_text(file, "new")
    assert file.read_text() == "old"
