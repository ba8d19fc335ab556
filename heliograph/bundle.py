"""The bundle: one agent's policy and local model as a manifest and an ONNX graph, for one slot.

On disk it is a directory or a `.tar` with `manifest.json`, `step.onnx`, the tables of a learned message code in
`tables.json` and, if signed, `manifest.sig`.  There is no pickle in it.  A bundle is a pure function
`step(observation, inbox, state, noise) -> (latent, action, state)`; `docs/bundle.md` lists the tensors of the graph.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from heliograph.codecs.tables import LatentTables
from heliograph.errors import BundleCorrupt, BundleMismatch, BundleUntrusted, OutputFailed
from heliograph.manifest import Manifest, sha256
from heliograph.reading import Unreadable, read_bytes
from heliograph.system_refusals import remedy_for

MANIFEST, GRAPH, TABLES, SIGNATURE = FILES = ("manifest.json", "step.onnx", "tables.json", "manifest.sig")
MAX_BUNDLE_BYTES = 512 * 2**20
"""Larger bundles are refused unread: a policy of this project has a few megabytes."""
_PLAIN_ENTRIES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(_BLOCK)
_REMEDY = "Name another folder, or free space"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A manifest, as parsed and as bytes, the graph's bytes, and optionally tables of what the team says and an ed25519
    signature of the manifest."""

    manifest: Manifest
    manifest_bytes: bytes
    graph: bytes
    tables: LatentTables | None = None
    """Counts [K, C], the same in all bundles of a team; codecs that go by tables need them."""
    signature: bytes | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which itself holds those of graph and tables: names the whole bundle."""
        return sha256(self.manifest_bytes)

    def check_slot(self, *, slot: int, team_size: int) -> None:
        """Raise BundleMismatch unless the bundle was made for this slot of a team of this size."""
        if self.manifest.team_size != team_size:
            raise BundleMismatch(f"bundle is for a team of {self.manifest.team_size}, this team has {team_size}")
        if self.manifest.slot != slot:
            raise BundleMismatch(f"bundle is for slot {self.manifest.slot}, not for slot {slot}")

    def check_environment(self, *, environment: str, parameters: dict[str, Any]) -> None:
        """Raise BundleMismatch unless the bundle was trained in this environment with these parameters."""
        if self.manifest.environment != environment:
            raise BundleMismatch(f"bundle was trained in {self.manifest.environment!r}, not in {environment!r}")
        trained = self.manifest.environment_parameters
        differing = sorted(key for key in trained | parameters if trained.get(key) != parameters.get(key))
        if differing:
            pairs = ", ".join(f"{key} {trained.get(key)!r} != {parameters.get(key)!r}" for key in differing)
            raise BundleMismatch(f"bundle was trained with other environment parameters: {pairs}")

    def sign(self, private_key: bytes) -> Bundle:
        """Return the bundle signed with a raw 32-byte ed25519 private key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(self.manifest_bytes)
        return replace(self, signature=signature)

    def verify(self, *trusted_keys: bytes) -> None:
        """Raise BundleUntrusted unless the manifest is signed by one of these raw 32-byte ed25519 public keys."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if self.signature is None:
            raise BundleUntrusted(
                "bundle is not signed", remedy="Sign it with `heliograph export --sign`, or run without a trusted key"
            )
        for key in trusted_keys:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(self.signature, self.manifest_bytes)
            except InvalidSignature:
                continue
            return
        raise BundleUntrusted("bundle is signed, but not by a trusted key")

    def to_tar(self) -> bytes:
        """Pack into a tar whose bytes depend on the content alone (no times, no owners)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in self._files().items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write to `path`, a `.tar` file or a directory, so that a reader sees all of it or nothing.

        Raises OutputFailed if the disk refuses; what was at `path` is then still whole.
        """
        partial = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".tar":
                _write(partial, self.to_tar())
            else:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                for name, data in self._files().items():
                    _write(partial / name, data)
                if path.exists():
                    shutil.rmtree(path)
            os.replace(partial, path)
        except OSError as error:
            raise OutputFailed(f"cannot write bundle {path}: {error.strerror}", remedy=_REMEDY) from error
        finally:
            _remove(partial)  # left there only by what went wrong, or by Ctrl-C

    def save_signature(self, path: Path) -> None:
        """Put the signature into the bundle at `path`, which must be this one; in a directory nothing else changes.

        Raises OutputFailed if the disk refuses; what was at `path` is then still whole.
        """
        assert self.signature is not None
        if not path.is_dir():
            self.save(path)
            return
        partial = path / f"{SIGNATURE}.partial"
        try:
            _write(partial, self.signature)
            os.replace(partial, path / SIGNATURE)
        except OSError as error:
            raise OutputFailed(f"cannot write {path / SIGNATURE}: {error.strerror}", remedy=_REMEDY) from error
        finally:
            _remove(partial)

    def _files(self) -> dict[str, bytes]:
        tables = None if self.tables is None else self.tables.to_bytes()
        files = {MANIFEST: self.manifest_bytes, GRAPH: self.graph, TABLES: tables, SIGNATURE: self.signature}
        return {name: data for name, data in files.items() if data is not None}


def make(manifest: Manifest, graph: bytes, tables: LatentTables | None = None) -> Bundle:
    """Join a manifest with its graph and tables; the manifest's digest fields must already be theirs."""
    files = {MANIFEST: manifest.to_bytes(), GRAPH: graph}
    return _checked(files if tables is None else files | {TABLES: tables.to_bytes()}, origin="new bundle")


def load(path: Path) -> Bundle:
    """Read a bundle from a directory or a tar.  Raises BundleCorrupt or BundleMismatch; never runs anything in it."""
    try:
        if path.is_dir():
            files, left = {}, MAX_BUNDLE_BYTES
            for name in FILES:
                # A link that leads nowhere is there, too: it is refused, not overlooked.  Of a folder that may not be
                # entered, nobody can say what there is.
                with suppress(FileNotFoundError):
                    os.lstat(path / name)
                    files[name] = _read(path / name, limit=left, links=False)
                    left -= len(files[name])
            return _checked(files, origin=str(path))
        return from_tar(_read(path, limit=MAX_BUNDLE_BYTES), origin=str(path))
    except FileNotFoundError:
        raise BundleCorrupt(f"there is no bundle at {path}", remedy="Export one with `heliograph export`") from None
    except OSError as error:
        raise BundleCorrupt(f"cannot read bundle {path}: {error.strerror}", remedy=remedy_for(error)) from error


def from_tar(data: bytes, *, origin: str) -> Bundle:
    """Parse a tarred bundle held in memory; `origin` names it in errors.  Raises as `load`."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleCorrupt(f"{origin} is larger than the limit of {MAX_BUNDLE_BYTES // 2**20} MiB")
    files, place = {}, 0
    # Header by header, and not by `tarfile.open`, which follows whatever a header asks for: long names within long
    # names, extended headers, maps of holes.
    while (header := data[place : place + _BLOCK]) not in (_ZEROS, b""):
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise BundleCorrupt(f"{origin}: not a whole tar archive: {error}") from None
        if entry.type not in _PLAIN_ENTRIES or entry.name not in FILES or entry.name in files:
            raise BundleCorrupt(f"{origin}: unexpected entry {entry.name[:99]!r}")
        place += _BLOCK
        if not 0 <= entry.size <= len(data) - place:
            raise BundleCorrupt(f"{origin}: {entry.name} is truncated", remedy="Fetch it again")
        files[entry.name] = data[place : place + entry.size]
        place += -(-entry.size // _BLOCK) * _BLOCK
    return _checked(files, origin=origin)


def load_team(folder: Path) -> list[Bundle]:
    """Load `agent-0 … agent-(N-1)` (directories or tars) from `folder`, checked to be one team.

    Raises BundleCorrupt if none or one is missing, BundleMismatch if they do not belong together.
    """
    if not folder.is_dir():
        found = "is no folder" if os.path.lexists(folder) else "does not exist"
        raise BundleCorrupt(f"{folder} {found}", remedy="Name a run folder, or a folder of bundles")
    first = load(_slot_path(folder, 0))
    bundles = [first, *(load(_slot_path(folder, slot)) for slot in range(1, first.manifest.team_size))]
    for slot, bundle in enumerate(bundles):
        bundle.check_slot(slot=slot, team_size=first.manifest.team_size)
        bundle.check_environment(
            environment=first.manifest.environment, parameters=first.manifest.environment_parameters
        )
        talk = [(each.manifest.message, each.manifest.message_values) for each in (bundle, first)]
        if talk[0] != talk[1] or bundle.manifest.run_id != first.manifest.run_id:
            raise BundleMismatch(f"bundles of slot 0 and slot {slot} come from different runs")
        if bundle.manifest.training_step != first.manifest.training_step:
            raise BundleMismatch(
                f"bundles of slot 0 ({_version(first)}) and slot {slot} ({_version(bundle)}) are of different versions",
                remedy="Export the whole team at once",
            )
        if bundle.manifest.sending != first.manifest.sending:
            raise BundleMismatch(
                f"bundles of slot 0 and slot {slot} withhold messages by different rules",
                remedy="Export the whole team at once",
            )
        if bundle.manifest.holds != first.manifest.holds:
            raise BundleMismatch(
                f"of the bundles of slot 0 and slot {slot} only one holds the last message that came",
                remedy="Export the whole team at once",
            )
        if bundle.manifest.predicts != first.manifest.predicts:
            raise BundleMismatch(
                f"bundles of slot 0 and slot {slot} predict messages in different ways",
                remedy="Export the whole team at once",
            )
        if not _read_one_another(bundle.manifest, first.manifest):
            raise BundleMismatch(f"bundles of slot 0 and slot {slot} write actions in different ways")
        if bundle.tables != first.tables:
            raise BundleMismatch(
                f"bundles of slot 0 and slot {slot} hold different tables", remedy="Export the whole team at once"
            )
    return bundles


def save_team(bundles: Sequence[Bundle], folder: Path, *, suffix: str = "") -> list[Path]:
    """Write `agent-0 …` into `folder`, as directories or with suffix ".tar"; their paths.  Raises OutputFailed.

    All are written before the first takes its place, and then each takes it by a rename: whoever loads the team
    meanwhile finds the old one or the new one, or, for the moment that the renames take, two versions, which
    `load_team` refuses.
    """
    paths = [folder / f"agent-{slot}{suffix}" for slot in range(len(bundles))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder, since that may be all of a disk that can be written.
        with TemporaryDirectory(prefix=".next-", dir=folder) as staging:
            for bundle, path in zip(bundles, paths, strict=True):
                bundle.save(Path(staging) / path.name)
            for slot, path in enumerate(paths):
                # A directory cannot be replaced, and what was there in the other form would be loaded instead.
                for last in (folder / f"agent-{slot}", folder / f"agent-{slot}.tar"):
                    if last.exists():
                        os.replace(last, Path(staging) / f"{last.name}.last")
                os.replace(Path(staging) / path.name, path)
    except OSError as error:
        raise OutputFailed(f"cannot write bundles to {folder}: {error.strerror}", remedy=_REMEDY) from error
    return paths


def _remove(partial: Path) -> None:
    with suppress(OSError):
        partial.unlink() if partial.is_file() else shutil.rmtree(partial)


def _version(bundle: Bundle) -> str:
    return f"{bundle.digest[:12]}, training step {bundle.manifest.training_step}"


def _read_one_another(one: Manifest, other: Manifest) -> bool:
    """Whether what an agent says of its action means something to the other; bounds are each agent's own."""
    if one.team_actions is not None or other.team_actions is not None:
        return one.team_actions == other.team_actions
    mine, theirs = one.actions, other.actions
    if one.message is None and mine.kind != theirs.kind:
        return True  # of a mixed team that says nothing
    return (mine.mask_size, mine.message_bits, mine.kind) == (theirs.mask_size, theirs.message_bits, theirs.kind)


def _slot_path(folder: Path, slot: int) -> Path:
    directory = folder / f"agent-{slot}"
    return directory if directory.exists() else folder / f"agent-{slot}.tar"


def _checked(files: dict[str, bytes], *, origin: str) -> Bundle:
    for name in (MANIFEST, GRAPH):
        if name not in files:
            raise BundleCorrupt(f"{origin}: {name} is missing")
    manifest = Manifest.from_bytes(files[MANIFEST])
    if sha256(files[GRAPH]) != manifest.graph_sha256:
        raise BundleCorrupt(f"{origin}: {GRAPH} does not match the digest in its manifest", remedy="Fetch it again")
    return Bundle(
        manifest=manifest,
        manifest_bytes=files[MANIFEST],
        graph=files[GRAPH],
        tables=_checked_tables(files.get(TABLES), manifest, origin=origin),
        signature=files.get(SIGNATURE),
    )


def _checked_tables(data: bytes | None, manifest: Manifest, *, origin: str) -> LatentTables | None:
    if (None if data is None else sha256(data)) != manifest.tables_sha256:
        raise BundleCorrupt(f"{origin}: {TABLES} does not match the digest in its manifest", remedy="Fetch it again")
    if data is None:
        return None
    try:
        tables = LatentTables.from_bytes(data)
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(f"{origin}: {TABLES}: {error}") from None
    assert manifest.message is not None
    if tables.counts.shape != (manifest.message.categoricals, manifest.message.classes):
        raise BundleCorrupt(f"{origin}: {TABLES} has shape {tables.counts.shape}, messages are {manifest.message}")
    return tables


def _read(path: Path, *, limit: int, links: bool = True) -> bytes:
    try:
        return read_bytes(path, limit=limit, links=links)
    except Unreadable as error:
        raise BundleCorrupt(f"{path} {error}", remedy="A bundle is made of plain files alone") from None


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
