"""Documents are written whole, and only those of the right format and version are read."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.documents import DocumentFormat, WrongDocument, finite, write_json
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


PLACED = DocumentFormat(name=None, version=2, what="the notes", remedy="Remove them")


def test_a_document_whose_place_says_what_it_is_says_its_version_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    PLACED.write(path, {"words": ["a"]})
    assert json.loads(path.read_text()) == {"format_version": 2, "words": ["a"]}
    assert PLACED.read(path, words) == ["a"]
    path.write_text('{"format_version": 1, "words": []}')
    with pytest.raises(SettingsError, match=r"it is of version 1, and what is read here is of version 2\. Remove them"):
        PLACED.read(path, words)


def test_a_document_of_before_versions_were_said_is_of_the_one_that_it_then_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text('{"words": ["a"]}')
    with pytest.raises(SettingsError, match="it is of version None"):
        PLACED.read(path, words)
    assert replace(PLACED, unsaid=2).read(path, words) == ["a"]
    with pytest.raises(SettingsError, match=r"it is of version 1, and what is read here is of version 2\. Remove them"):
        replace(PLACED, unsaid=1).read(path, words)


def test_a_file_that_is_asked_for_is_replaced_whole_and_what_is_no_plain_file_is_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, link = tmp_path / "new" / "kept.json", tmp_path / "link.json"
    write_json({"a": 1}, kept)
    link.symlink_to(kept)
    write_json({"a": 2}, link)
    assert link.is_symlink()
    assert json.loads(kept.read_text()) == {"a": 2}
    os.link(kept, tmp_path / "old.json")
    write_json({"a": 3}, kept)
    assert json.loads((tmp_path / "old.json").read_text()) == {"a": 2}, "another file took its place"
    write_json({"a": 4}, Path("-"))
    write_json({"a": 5}, None)
    assert json.loads(capsys.readouterr().out) == {"a": 4}
