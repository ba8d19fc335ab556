"""Files are read within bounds: plain ones alone, so many bytes, and JSON that is what it seems."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.reading import (
    DIGITS,
    Unreadable,
    check_plain,
    parse_json,
    read_bytes,
    read_json,
    read_json_lines,
    read_lines,
)

READERS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: read_bytes(path, limit=100),
    "json": read_json,
    "lines": lambda path: list(read_lines(path, limit=100)),
    "check": check_plain,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_a_device_and_a_folder_are_refused_without_waiting(tmp_path: Path, reader: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a pipe"), ("device", "a device"), ("folder", "a folder")):
        with pytest.raises(Unreadable, match=f"^is {kind}, not a plain file$"):
            READERS[reader](tmp_path / name)
    with pytest.raises(FileNotFoundError):
        READERS[reader](tmp_path / "nothing")


def test_a_link_is_followed_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_bytes(tmp_path / "link", limit=4) == b"here"
    with pytest.raises(Unreadable, match=r"^is a link, not a plain file$"):
        read_bytes(tmp_path / "link", limit=4, links=False)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(Unreadable, match=r"^is larger than the limit of 4 bytes$"):
        read_bytes(path, limit=4)


def test_a_file_that_hides_its_size_is_read_up_to_its_limit() -> None:
    with pytest.raises(Unreadable, match=r"^is larger than the limit of 4 bytes$"):
        read_bytes(Path("/proc/self/status"), limit=4)  # which says that it has 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "is not JSON: Expecting property name"),
        (b'{"name": "\xff"}', "is not UTF-8 at byte 10"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"1" * (DIGITS + 1), f"has a number of {DIGITS + 1} digits"),
        (b"[-" + b"1" * 5000 + b"]", "has a number of 5001 digits"),
    ],
)
def test_json_that_python_trips_over_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        parse_json(text)


def test_numbers_that_are_no_numbers_are_refused_where_that_is_said() -> None:
    assert parse_json(b"[Infinity]") == [float("inf")]
    with pytest.raises(Unreadable, match="Infinity is no number"):
        parse_json(b"[Infinity]", finite=True)


def test_a_long_text_of_digits_and_the_state_of_a_generator_are_read() -> None:
    content = {"hex": "1" * 64, "state": 2**128 - 1, "other": -(10**38)}
    assert parse_json(json.dumps(content).encode()) == content


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(_VALUES)
def test_sound_json_is_what_it_is(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary())
def test_no_bytes_are_more_than_unreadable(data: bytes) -> None:
    try:
        parse_json(data)
    except Unreadable:
        return


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_are_counted_where_they_are_unzipped(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "lines"

    def write(text: bytes) -> None:
        path.write_bytes(gzip.compress(text) if zipped else text)

    write(b"one\ntwo\nthree")
    assert list(read_lines(path, limit=99, line_limit=5)) == [b"one\n", b"two\n", b"three"]
    with pytest.raises(Unreadable, match="a line of more than 4 bytes"):
        list(read_lines(path, limit=99, line_limit=4))
    write(b"0\n" * 50_000)
    with pytest.raises(Unreadable, match="larger than the limit of 99999 bytes"):
        list(read_lines(path, limit=99_999))


def test_a_small_file_that_unzips_to_a_line_of_gigabytes_is_left_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(2**20))
    with pytest.raises(Unreadable, match="a line of more than 1 MiB"):
        next(read_lines(path, limit=2**40, line_limit=2**20))


@pytest.mark.parametrize("left", [1, 9, 20])
def test_a_zipped_file_that_is_cut_off_is_refused(tmp_path: Path, left: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"a line\n" * 9)[:-left])
    with pytest.raises(Unreadable, match="ends early, or is damaged"):
        list(read_lines(path, limit=1000))


def test_the_last_line_of_a_log_may_be_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert read_json_lines(path) == []
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]
    path.write_text("{}\n[]\n")
    with pytest.raises(Unreadable, match="has no object in line 2"):
        read_json_lines(path)
