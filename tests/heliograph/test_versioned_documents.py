"""Documents are written whole, and only those of the right format and version are read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from heliograph.documents import DocumentFormat, WrongDocument, finite
from heliograph.errors import OutputFailed, SettingsError

NOTES = DocumentFormat(
    name="heliograph-notes",
    version=3,
    what="the notes",
    remedy="Remove them",
    older={2: "Make them again with `heliograph notes`"},
)


def words(fields: dict[str, Any]) -> list[str]:
    return [str(word) for word in fields["words"]]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "notes.json"
    NOTES.write(path, {"words": ["a", "b"]})
    assert json.loads(path.read_text()) == {"format": "heliograph-notes", "version": 3, "words": ["a", "b"]}
    assert NOTES.read(path, words) == NOTES.find(path, words) == ["a", "b"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["notes.json"]


def test_a_file_that_is_not_there_is_found_to_be_none_or_told(tmp_path: Path) -> None:
    assert NOTES.find(tmp_path / "none.json", words) is None
    with pytest.raises(SettingsError, match=r"cannot read the notes .*none.json: there is no such file. Remove them"):
        NOTES.read(tmp_path / "none.json", words)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[]", "it is no object, and what is read here is 'heliograph-notes' of version 3. Remove them"),
        ('{"format": "other", "version": 3}', "it is 'other' of version 3, and .* Remove them"),
        (
            '{"format": "heliograph-notes", "version": 2}',
            "of version 2, and .* Make them again with `heliograph notes`",
        ),
        ('{"format": "heliograph-notes", "version": 1}', "of version 1, and .* Remove them"),
        ('{"format": "heliograph-notes", "version": 4}', "of version 4, and .* Use the version of heliograph that"),
        ('{"format": "heliograph-notes", "version": true}', "of version True, and .* Remove them"),
        ('{"format": "heliograph-notes", "version": 3.0}', "of version 3.0, and .* Remove them"),
        ('{"format": "heliograph-notes", "version": 3}', "it lacks 'words'. Remove them"),
        ('{"format": "heliograph-notes", "version": 3, "words": 1}', "not iterable. Remove them"),
        ("{", "is not JSON: .* Remove them"),
    ],
)
def test_other_files_are_refused_with_what_they_are_and_what_to_do(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"cannot read the notes .*notes.json: .*{part}"):
        NOTES.find(path, words)


def test_a_folder_in_the_file_s_place_and_too_long_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder, not a plain file"):
        NOTES.find(tmp_path, words)
    NOTES.write(tmp_path / "notes.json", {"words": ["word"] * 100})
    with pytest.raises(SettingsError, match="is larger than the limit of 100 bytes"):
        NOTES.find(tmp_path / "notes.json", words, limit=100)


def test_a_place_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputFailed, match=r"cannot write .*notes.json: File exists"):
        NOTES.write(tmp_path / "file" / "notes.json", {"words": []})
    assert (tmp_path / "file").read_text() == "kept"


def test_numbers_that_json_has_not_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        NOTES.write(tmp_path / "notes.json", {"words": [math.nan]})
    assert not list(tmp_path.iterdir())
    assert finite({"a": [1.0, math.nan, (math.inf, "b")], 3: None}) == {"a": [1.0, None, [None, "b"]], 3: None}


def test_the_first_line_of_a_file_of_lines_says_the_same() -> None:
    header = NOTES.document({"words": []})
    assert NOTES.check(header) == {"words": []}
    with pytest.raises(WrongDocument, match="of version 2") as refused:
        NOTES.check(header | {"version": 2})
    assert refused.value.remedy == "Make them again with `heliograph notes`"
