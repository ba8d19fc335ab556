"""Files that are replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliograph.writing import replace_text


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
