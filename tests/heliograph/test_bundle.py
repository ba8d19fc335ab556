"""Bundles on disk and as bytes: whole or refused, never another function than the one that was signed."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from scripted_bundle import save_team, scripted_bundle, scripted_team

from heliograph import bundle as bundles
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.bundle import FILES, GRAPH, MANIFEST, TABLES, Bundle
from heliograph.codecs import LatentTables
from heliograph.errors import BundleCorrupt, BundleError, BundleMismatch, BundleUntrusted, OutputFailed
from heliograph.manifest import VERSIONS, Manifest, sha256

PRIVATE_KEY = bytes(range(32))
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
UNSIGNED = scripted_bundle(slot=1, team_size=3, environment_parameters={"agents": 3, "size": 4})
SIGNED = UNSIGNED.sign(PRIVATE_KEY)
COUNTS = np.arange(32).reshape(4, 8)
TABLED = scripted_bundle(slot=1, team_size=3, tables=LatentTables(COUNTS)).sign(PRIVATE_KEY)
TAR = TABLED.to_tar()
DOCUMENT = Path(__file__).parents[2] / "docs" / "bundle.md"


def tarred(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def is_refused_or_the_signed_one(data: bytes) -> bool:
    """Whether a node with a trusted key is safe from these bytes."""
    try:
        bundle = bundles.from_tar(data, origin="test")
        bundle.verify(PUBLIC_KEY)
    except BundleError:
        return True
    return bundle == TABLED


@pytest.mark.parametrize("name", ["agent-1", "agent-1.tar"])
@pytest.mark.parametrize("bundle", [UNSIGNED, SIGNED, TABLED], ids=["unsigned", "signed", "tables"])
def test_a_saved_bundle_comes_back(tmp_path: Path, name: str, bundle: Bundle) -> None:
    bundle.save(tmp_path / "deep" / name)
    assert bundles.load(tmp_path / "deep" / name) == bundle
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name], "nothing partial stays behind"


@pytest.mark.parametrize("name", ["agent-1", "agent-1.tar"])
def test_saving_replaces_the_older_bundle(tmp_path: Path, name: str) -> None:
    SIGNED.save(tmp_path / name)
    UNSIGNED.save(tmp_path / name)
    assert bundles.load(tmp_path / name) == UNSIGNED


def test_a_tar_depends_on_the_content_alone() -> None:
    assert bundles.from_tar(TAR, origin="test").to_tar() == TAR


def test_the_digest_names_manifest_and_graph() -> None:
    assert SIGNED.digest == UNSIGNED.digest
    teams = [*scripted_team(team_size=3), *scripted_team(team_size=3, classes=16)]
    assert len({bundle.digest for bundle in teams}) == 6


@given(st.integers(0, len(TAR) - 1))
def test_a_truncated_tar_is_refused_or_lost_only_padding(length: int) -> None:
    try:
        bundle = bundles.from_tar(TAR[:length], origin="test")
    except BundleCorrupt:
        return
    assert bundle in (TABLED, replace(TABLED, signature=None)), "the signature is the last file"


@pytest.mark.slow
def test_one_altered_byte_anywhere_never_gives_another_function() -> None:
    for position in range(len(TAR)):
        altered = bytearray(TAR)
        altered[position] ^= 0x41
        assert is_refused_or_the_signed_one(bytes(altered)), position


@given(st.lists(st.tuples(st.integers(0, len(TAR) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
def test_many_altered_bytes_never_give_another_function(edits: list[tuple[int, bytes]]) -> None:
    altered = bytearray(TAR)
    for position, data in edits:
        altered[position : position + len(data)] = data
    assert is_refused_or_the_signed_one(bytes(altered))


@given(st.binary(max_size=2048))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        bundles.from_tar(data, origin="test")


def test_an_altered_graph_is_found_without_a_signature(tmp_path: Path) -> None:
    UNSIGNED.save(tmp_path / "agent-1")
    graph = bytearray(UNSIGNED.graph)
    graph[len(graph) // 2] ^= 1
    (tmp_path / "agent-1" / GRAPH).write_bytes(graph)
    with pytest.raises(BundleCorrupt, match=r"step\.onnx does not match the digest"):
        bundles.load(tmp_path / "agent-1")


@pytest.mark.parametrize("tables", [None, b"", b"{}", LatentTables(COUNTS + 1).to_bytes()])
def test_tables_are_those_of_the_manifest(tmp_path: Path, tables: bytes | None) -> None:
    TABLED.save(tmp_path / "agent-1")
    (tmp_path / "agent-1" / TABLES).unlink()
    if tables is not None:
        (tmp_path / "agent-1" / TABLES).write_bytes(tables)
    with pytest.raises(BundleCorrupt, match=r"tables\.json does not match the digest"):
        bundles.load(tmp_path / "agent-1")
    UNSIGNED.save(tmp_path / "agent-2")
    (tmp_path / "agent-2" / TABLES).write_bytes(TABLED.tables.to_bytes())
    with pytest.raises(BundleCorrupt, match=r"tables\.json does not match the digest"):
        bundles.load(tmp_path / "agent-2")


@pytest.mark.parametrize("tables", [b"{}", b"[" * 100_000, LatentTables(COUNTS.T).to_bytes(), b'{"counts": [[0.5]]}'])
def test_tables_that_make_no_sense_are_refused(tables: bytes) -> None:
    manifest = replace(UNSIGNED.manifest, tables_sha256=sha256(tables))
    files = [(MANIFEST, manifest.to_bytes()), (GRAPH, UNSIGNED.graph), (TABLES, tables)]
    with pytest.raises(BundleCorrupt, match=r"tables\.json"):
        bundles.from_tar(tarred(files), origin="test")


def test_a_bundle_without_tables_is_written_as_before_there_were_any() -> None:
    assert UNSIGNED.tables is None
    assert b"tables" not in UNSIGNED.manifest_bytes


def test_an_altered_manifest_has_another_digest() -> None:
    altered = UNSIGNED.manifest_bytes.replace(b'"algorithm": "scripted"', b'"algorithm": "scripteD"')
    bundle = bundles.from_tar(tarred([(MANIFEST, altered), (GRAPH, UNSIGNED.graph)]), origin="test")
    assert bundle.digest != UNSIGNED.digest


@pytest.mark.parametrize(
    "files",
    [
        [(MANIFEST, UNSIGNED.manifest_bytes)],
        [(GRAPH, UNSIGNED.graph)],
        [(MANIFEST, UNSIGNED.manifest_bytes), (GRAPH, UNSIGNED.graph), ("extra.txt", b"")],
        [(MANIFEST, UNSIGNED.manifest_bytes), (GRAPH, UNSIGNED.graph), (GRAPH, UNSIGNED.graph)],
        [("../" + MANIFEST, UNSIGNED.manifest_bytes), (GRAPH, UNSIGNED.graph)],
        [("/" + MANIFEST, UNSIGNED.manifest_bytes), (GRAPH, UNSIGNED.graph)],
        [("agent-1/" + MANIFEST, UNSIGNED.manifest_bytes), ("agent-1/" + GRAPH, UNSIGNED.graph)],
        [],
    ],
    ids=["no graph", "no manifest", "extra", "twice", "parent", "absolute", "folder", "empty"],
)
def test_a_tar_holds_each_of_its_names_once_and_nothing_else(files: list[tuple[str, bytes]]) -> None:
    with pytest.raises(BundleCorrupt):
        bundles.from_tar(tarred(files), origin="test")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_tar_holds_plain_files(kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(GRAPH)
        entry.type, entry.linkname = kind, "/etc/hostname"
        archive.addfile(entry)
    with pytest.raises(BundleCorrupt, match="unexpected entry"):
        bundles.from_tar(buffer.getvalue(), origin="test")


def test_a_sparse_entry_cannot_fill_the_memory() -> None:
    entry = tarfile.TarInfo(GRAPH)
    entry.type, entry.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % 512  # one block of data at offset 0 …
    header[483:495] = b"%011o\0" % 2**32  # … of a file of 4 GiB
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(BundleCorrupt, match="unexpected entry"):
        bundles.from_tar(bytes(header) + bytes(1536), origin="test")


def test_a_missing_bundle_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="heliograph export"):
        bundles.load(tmp_path / "agent-0")


def test_a_bundle_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "agent-0.tar").open("wb") as file:
        file.truncate(bundles.MAX_BUNDLE_BYTES + 1)
    with pytest.raises(BundleCorrupt, match="larger than the limit of 512 MiB"):
        bundles.load(tmp_path / "agent-0.tar")


@pytest.mark.parametrize("name", ["agent-1", "agent-1.tar"])
def test_a_disk_that_refuses_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFailed, match=r"cannot write bundle.*Name another folder, or free space"):
        UNSIGNED.save(tmp_path / "file" / name)


def test_only_the_trusted_key_is_accepted() -> None:
    SIGNED.verify(PUBLIC_KEY)
    with pytest.raises(BundleUntrusted, match="not signed"):
        UNSIGNED.verify(PUBLIC_KEY)
    with pytest.raises(BundleUntrusted, match="not by a trusted key"):
        UNSIGNED.sign(bytes(32)).verify(PUBLIC_KEY)


def test_a_bundle_belongs_to_its_slot_team_and_world() -> None:
    parameters = {"agents": 3, "size": 4}
    UNSIGNED.check_slot(slot=1, team_size=3)
    UNSIGNED.check_environment(environment="relay", parameters=parameters)
    with pytest.raises(BundleMismatch, match="slot 1, not for slot 0"):
        UNSIGNED.check_slot(slot=0, team_size=3)
    with pytest.raises(BundleMismatch, match="team of 3, this team has 2"):
        UNSIGNED.check_slot(slot=1, team_size=2)
    with pytest.raises(BundleMismatch, match="'relay', not in 'relay-signal'"):
        UNSIGNED.check_environment(environment="relay-signal", parameters=parameters)
    with pytest.raises(BundleMismatch, match="length None != 6, size 4 != 5"):
        UNSIGNED.check_environment(environment="relay", parameters={"agents": 3, "size": 5, "length": 6})


def test_a_team_is_loaded_in_slot_order(tmp_path: Path) -> None:
    team = scripted_team(team_size=3)
    save_team(team[:2], tmp_path)
    team[2].save(tmp_path / "agent-2.tar")
    assert bundles.load_team(tmp_path) == team


def test_a_folder_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"nowhere does not exist\. Name a run folder, or a folder of bundles"):
        bundles.load_team(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BundleCorrupt, match="file is no folder"):
        bundles.load_team(tmp_path / "file")
    with pytest.raises(BundleCorrupt, match=r"there is no bundle at .*agent-0"):
        bundles.load_team(tmp_path)


def test_a_team_is_written_whole_in_place_of_another(tmp_path: Path) -> None:
    old, new = (scripted_team(team_size=2, training_step=step) for step in (1, 2))
    (tmp_path / "notes.txt").write_text("of somebody else")
    assert bundles.save_team(old, tmp_path) == [tmp_path / "agent-0", tmp_path / "agent-1"]
    assert bundles.load_team(tmp_path) == old
    for team, suffix in ((new, ""), (old, ".tar"), (new, ".tar"), (old, "")):
        bundles.save_team(team, tmp_path, suffix=suffix)
        assert bundles.load_team(tmp_path) == team
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"agent-0{suffix}", f"agent-1{suffix}", "notes.txt"]
    (tmp_path / "notes.txt").rename(tmp_path / "taken")
    with pytest.raises(OutputFailed, match="cannot write bundles to"):
        bundles.save_team(old, tmp_path / "taken")


def test_a_mixture_of_two_versions_is_refused_with_both_digests(tmp_path: Path) -> None:
    old, new = (scripted_team(team_size=2, training_step=step) for step in (1, 2))
    save_team([old[0], new[1]], tmp_path)
    with pytest.raises(BundleMismatch) as caught:
        bundles.load_team(tmp_path)
    for part in (f"slot 0 ({old[0].digest[:12]}, training step 1)", f"slot 1 ({new[1].digest[:12]}, training step 2)"):
        assert part in str(caught.value)


def test_a_team_with_a_gap_a_stranger_or_a_swap_is_refused(tmp_path: Path) -> None:
    team = scripted_team(team_size=3)
    save_team(team[:2], tmp_path)
    with pytest.raises(BundleCorrupt, match="agent-2"):
        bundles.load_team(tmp_path)
    scripted_bundle(slot=2, team_size=3, run_id="another").save(tmp_path / "agent-2")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 2 come from different runs"):
        bundles.load_team(tmp_path)
    scripted_bundle(slot=2, team_size=3, tables=LatentTables(COUNTS)).save(tmp_path / "agent-2")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 2 hold different tables"):
        bundles.load_team(tmp_path)
    team[1].save(tmp_path / "agent-2")
    with pytest.raises(BundleMismatch, match="slot 1, not for slot 2"):
        bundles.load_team(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"format_version": VERSIONS[-1] + 1}, BundleMismatch, "format version 5, this program reads 1, 2, 3 and 4"),
        ({"format_version": None}, BundleMismatch, "format version None"),
        ({"slot": 3}, BundleCorrupt, "slot 3 does not exist in a team of 3"),
        ({"slot": -1}, BundleCorrupt, "slot"),
        ({"team_size": 0}, BundleCorrupt, "team_size"),
        ({"graph_sha256": "zz"}, BundleCorrupt, "graph_sha256"),
        ({"tables_sha256": "zz"}, BundleCorrupt, "tables_sha256"),
        ({"tables_sha256": "0" * 64, "message": None}, BundleCorrupt, "sends no messages"),
        ({"message": {"categoricals": 0, "classes": 8}}, BundleCorrupt, "message"),
        ({"state": [{"name": "../x", "shape": [1]}]}, BundleCorrupt, "state"),
        ({"actions": {"kind": "continuous", "count": 2}}, BundleCorrupt, "actions"),
        ({"surprise": 1}, BundleCorrupt, "surprise"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_named(change: dict, error: type[BundleError], complaint: str) -> None:
    data = json.dumps(json.loads(UNSIGNED.manifest_bytes) | change).encode()
    with pytest.raises(error, match=complaint):
        Manifest.from_bytes(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"format_version": 1}'])
def test_a_manifest_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.from_bytes(data)


def test_continuous_actions_come_back_from_a_manifest() -> None:
    actions = ContinuousActions(low=(-2.0, 0.0), high=(2.0, 0.0), bits=6)
    manifest = replace(UNSIGNED.manifest, actions=actions)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert json.loads(manifest.to_bytes())["actions"] == {
        "kind": "continuous",
        "low": [-2.0, 0.0],
        "high": [2.0, 0.0],
        "bits": 6,
    }


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [
        ({"kind": "spoken", "count": 3}, "kind is 'spoken'"),
        ({"kind": "spoken", "low": [0], "high": [1]}, "unknown key actions"),
        ({"kind": "continuous", "low": 0, "high": [1]}, "actions.low is 0, expected a list"),
        ({"kind": "continuous", "low": [0]}, "actions.high is missing"),
        ({"kind": "continuous", "low": [0], "high": [1, 2]}, "have 1 and 2 numbers"),
        ({"kind": "continuous", "low": [0], "high": ["1"]}, "expected finite numbers"),
        ({"kind": "continuous", "low": [0], "high": [1], "bits": 1}, "actions.bits is 1"),
        ([], "expected an object"),
    ],
)
def test_actions_that_make_no_sense_are_named(actions: object, complaint: str) -> None:
    values = json.loads(UNSIGNED.manifest_bytes) | {"actions": actions}
    with pytest.raises(BundleCorrupt, match=complaint):
        Manifest.from_bytes(json.dumps(values).encode())


def test_a_team_writes_its_actions_in_one_way(tmp_path: Path) -> None:
    team = scripted_team(team_size=2)
    team[1] = bundles.make(replace(team[1].manifest, actions=DiscreteActions(count=6)), team[1].graph)
    with pytest.raises(BundleMismatch, match="write actions in different ways"):
        bundles.load_team(save_team(team, tmp_path))


def test_a_manifest_has_one_way_to_be_written() -> None:
    assert Manifest.from_bytes(UNSIGNED.manifest_bytes).to_bytes() == UNSIGNED.manifest_bytes


def test_documentation_lists_the_manifests_keys_and_its_example_is_one() -> None:
    text = DOCUMENT.read_text()
    table = text[text.index("## `manifest.json`") : text.index("Example,")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [field.name for field in fields(Manifest)]
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert Manifest.from_bytes(example.encode()).to_bytes().decode() == example


def test_documentation_lists_the_graphs_tensors() -> None:
    import onnx

    graph = onnx.load_from_string(scripted_bundle(slot=1, team_size=3, predicts="mean").graph).graph
    documented = set(re.findall(r"^\| `([\w.<>]+)` \| (?:float32|bool|int32)", DOCUMENT.read_text(), re.MULTILINE))
    found = {tensor.name.replace("counter", "<name>") for tensor in (*graph.input, *graph.output)}
    assert found == documented


def test_the_file_names_are_the_documented_ones() -> None:
    text = DOCUMENT.read_text()
    table = text[text.index("## Files") : text.index("## Tensors")]
    assert re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE) == list(FILES)
