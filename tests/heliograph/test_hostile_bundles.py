"""Bundles made to hurt whoever reads them: refused in a sentence, with exit code 3, and read within bounds."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_bundle import scripted_bundle

from heliograph import bundle as bundles
from heliograph.bundle import FILES, GRAPH, MANIFEST, Bundle, from_tar, load
from heliograph.cli import main
from heliograph.errors import BundleCorrupt, BundleError

SOUND = scripted_bundle(slot=0, team_size=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SOUND.save(tmp_path / "team" / "agent-0")
    return tmp_path / "team" / "agent-0"


def refused(path: Path, *, match: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the reader, and by the command of a user."""
    with pytest.raises(BundleCorrupt, match=match) as raised:
        load(path)
    assert raised.value.exit_code == 3
    assert main(["evaluate", str(path.parent), "--episodes", "1"]) == 3
    assert str(raised.value) in capsys.readouterr().err


@pytest.mark.parametrize("name", [MANIFEST, GRAPH, "tables.json", "manifest.sig"])
def test_a_pipe_in_a_files_place_is_not_waited_for(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, match=f"{name} is a pipe, not a plain file", capsys=capsys)


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../nothing", "manifest.sig"])
def test_a_link_in_a_files_place_is_not_followed(folder: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "manifest.sig").symlink_to(target)
    refused(folder, match=r"manifest\.sig is a link, not a plain file", capsys=capsys)


def test_a_folder_in_a_files_place_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tables.json").mkdir()
    refused(folder, match=r"tables\.json is a folder, not a plain file", capsys=capsys)


def test_a_pipe_in_a_tars_place_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "agent-0.tar")
    refused(tmp_path / "agent-0.tar", match="is a pipe, not a plain file", capsys=capsys)


def test_all_files_together_have_one_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "tables.json").open("wb") as file:
        file.truncate(bundles.MAX_BUNDLE_BYTES - 2**10)  # a hole: on the disk it takes nothing
    refused(folder, match=r"tables\.json is larger than the limit", capsys=capsys)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b'"initial": 0.0', b'"initial": 1' + b"0" * 400),
        (b'"initial": 0.0', b'"initial": 1e39'),
        (b'"initial": 0.0', b'"initial": 100000000000000000000000000000000000000000'),
        (b'"initial": 0.0', b'"initial": Infinity'),
        (b'"training_step": 0', b'"training_step": ' + b"9" * 5000),
        (b'"algorithm": "scripted"', b'"algorithm": "\xff\xfe"'),
        (b'"environment_parameters": {}', b'"environment_parameters": {"deep": ' + b"[" * 9999 + b"]" * 9999 + b"}"),
    ],
)
def test_numbers_and_names_that_are_none_are_refused(
    folder: Path, text: bytes, match: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = (folder / MANIFEST).read_bytes()
    assert text in sound
    (folder / MANIFEST).write_bytes(sound.replace(text, match))
    refused(folder, match=r"manifest\.json", capsys=capsys)


def test_a_manifest_of_megabytes_is_not_parsed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / MANIFEST).open("ab") as file:
        file.write(b" " * 2**23)
    refused(folder, match=r"manifest\.json is larger than the limit of 4 MiB", capsys=capsys)


def entry(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    """One entry of a tar, header and data."""
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(data) if size is None else size
    return header.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


LONG_NAMES = b"".join(entry("././@LongLink", b"n" * 200, kind=tarfile.GNUTYPE_LONGNAME) for _ in range(5000))
HEADERS = {
    "long names within long names": LONG_NAMES,
    "extended headers": entry("pax", b"20 path=manifest.json", kind=tarfile.XHDTYPE) * 5000,
    "a header for all": entry("pax", b"17 path=step.onnx", kind=tarfile.XGLTYPE),
    "holes": entry(MANIFEST, kind=tarfile.GNUTYPE_SPARSE, size=2**40),
    "a device": entry(MANIFEST, kind=tarfile.CHRTYPE),
    "a link": entry(MANIFEST, kind=tarfile.SYMTYPE),
    "more than there is": entry(MANIFEST, size=2**33),
    "less than nothing": entry(MANIFEST, size=-1),
    "a name that is not UTF-8": entry("x").replace(b"x", b"\xff", 1),
    "another name": entry("../manifest.json"),
    "half a header": entry(MANIFEST)[:300],
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_tar_has_plain_entries_alone(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent-0.tar"
    path.write_bytes(HEADERS[what] + SOUND.to_tar())
    refused(path, match=r"unexpected entry|is truncated|not a whole tar", capsys=capsys)


def test_a_tar_of_another_writer_is_read() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in ((MANIFEST, SOUND.manifest_bytes), (GRAPH, SOUND.graph)):
            header = tarfile.TarInfo(name)
            header.size, header.mtime, header.uname = len(data), 1_700_000_000, "somebody"
            archive.addfile(header, io.BytesIO(data))
    assert from_tar(buffer.getvalue(), origin="tar") == SOUND


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SOUND.to_tar()) - 1), st.binary(max_size=9)), max_size=4), st.integers(0))
def test_no_damage_to_a_tar_is_more_than_a_refusal(edits: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(SOUND.to_tar())
    for place, patch in edits:
        data[place : place + len(patch)] = patch
    try:
        found = from_tar(bytes(data[: len(data) - cut % len(data)]), origin="tar")
    except BundleError:
        return
    assert isinstance(found, Bundle)


def test_every_file_of_a_bundle_is_tried_here() -> None:
    assert {MANIFEST, GRAPH, "tables.json", "manifest.sig"} == set(FILES)
