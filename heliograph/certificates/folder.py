"""Certificates on disk: one folder for the authority, one below it for each process.  Imports nothing heavy.

A process's folder has the file names of a Kubernetes TLS secret, so that one can be mounted in its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.certificates.identity import COORDINATOR, Identity
from heliograph.errors import OutputFailed, SettingsError
from heliograph.reading import SMALL, Unreadable, read_bytes
from heliograph.system_refusals import remedy_for

if TYPE_CHECKING:
    from heliograph.certificates.authority import Authority, Credential

AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "ca.crt", "ca.key"
CERTIFICATE, KEY = "tls.crt", "tls.key"

AUTHORITY_DAYS, CERTIFICATE_DAYS = 1825, 90


def team(size: int) -> tuple[Identity, ...]:
    """The coordinator, and the slots of a team."""
    return COORDINATOR, *(Identity(slot=slot) for slot in range(size))


def write_authority(authority: Authority, folder: Path) -> None:
    """Write `ca.crt` and `ca.key`.  Raises SettingsError if either is there already."""
    files = {AUTHORITY_KEY: authority.credential.key, AUTHORITY_CERTIFICATE: authority.credential.certificate}
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise SettingsError(
            f"{folder / there[0]} is there already",
            remedy="What it issued hangs on it; use another folder",
        )
    with all_or_nothing() as undo:
        _write(folder, files, undo=undo)


def read_authority(folder: Path) -> Authority:
    """Of several certificates in its `ca.crt`, the one of its key.  Raises SettingsError if there is none."""
    from heliograph.certificates.authority import Authority, Credential, own_among

    try:
        certificate, key = (_read(folder / name) for name in (AUTHORITY_CERTIFICATE, AUTHORITY_KEY))
    except SettingsError as error:
        if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise
        raise SettingsError(
            f"no authority in {folder}: {error.message}",
            remedy="Make one with `heliograph certificates init`",
        ) from None
    return Authority(Credential(certificate=own_among(certificate, key=key), key=key))


def write_certificates(
    credentials: Mapping[Identity, Credential],
    folder: Path,
    *,
    authority: Path,
    renew: bool = False,
    alone: bool = False,
) -> list[Path]:
    """Write each to a folder of its own below `folder`, with the certificates in the `ca.crt` of `authority`.

    A folder that is renewed goes on to trust the other authorities that it trusts, unless `alone`, and not those that
    have expired: a team that goes over from one to another needs both for a while.  Raises SettingsError, before
    anything is written, if one of them is there already and not to be renewed; OutputFailed if the disk refuses, and
    then nothing new is left of any of them; of folders that are renewed each is as it was, or renewed whole.
    """
    paths = {identity: folder / identity.name for identity in credentials}
    there = [path for path in paths.values() if path.exists()]
    if there and not renew:
        raise SettingsError(f"{there[0]} is there already", remedy="Replace what is in it with --renew")
    from heliograph.certificates.authority import merged

    trusted = _read(authority / AUTHORITY_CERTIFICATE)
    with all_or_nothing() as undo:
        for identity, path in paths.items():
            credential, others = credentials[identity], path / AUTHORITY_CERTIFICATE
            known = trusted if alone or not others.exists() else merged(trusted, _read(others))
            files = {KEY: credential.key, CERTIFICATE: credential.certificate, AUTHORITY_CERTIFICATE: known}
            _write(path, files, undo=undo, replace=renew)
    return list(paths.values())


def make_team(folder: Path, identities: Iterable[Identity], *, days: float = CERTIFICATE_DAYS) -> None:
    """An authority and certificates in a new folder; the authority's key is kept nowhere."""
    from heliograph.certificates.authority import Authority

    authority = Authority.make(days=days)
    with all_or_nothing() as undo:
        _write(folder, {AUTHORITY_CERTIFICATE: authority.credential.certificate}, undo=undo)
    write_certificates({one: authority.issue(one, days=days) for one in identities}, folder, authority=folder)


def own(folder: Path, identity: Identity) -> Path:
    """Where a process finds its certificate: in the folder itself, or below it, among those of the whole team."""
    return folder if (folder / CERTIFICATE).exists() else folder / identity.name


def slots_below(folder: Path) -> list[Identity]:
    """Those whose certificates are below the folder, ascending; none if the folder is one process's own."""
    if (folder / CERTIFICATE).exists():
        return []
    numbers = [path.name.removeprefix("slot-") for path in folder.glob("slot-*")]
    return [Identity(slot=slot) for slot in sorted(int(number) for number in numbers if number.isdecimal())]


@contextmanager
def all_or_nothing() -> Iterator[ExitStack]:
    """Takes what removes each thing that is made inside; done, newest first, unless the block comes to its end.

    Half a pair of files would be of no use, and what is there is never overwritten, so that nobody could begin again.
    """
    with ExitStack() as undo:
        yield undo
        undo.pop_all()


def write_new(path: Path, data: bytes, *, secret: bool, undo: ExitStack) -> None:
    """Write a file that is not there yet; a secret only its owner may read.

    Raises SettingsError if it is there, OutputFailed if the disk refuses.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        undo.callback(path.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise SettingsError(f"{path} is there already", remedy="It is never overwritten; choose another name") from None
    except OSError as error:
        raise _unwritable(str(path), error) from None


def _write(folder: Path, files: Mapping[str, bytes], *, undo: ExitStack, replace: bool = False) -> None:
    try:
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
            undo.callback(_remove_empty, folder)
        new = {}
        for name, data in files.items():
            new[name] = folder / f"{name}.new" if replace else folder / name
            if replace:
                _remove_leftovers(folder, name)
            write_new(new[name], data, secret=name in (KEY, AUTHORITY_KEY), undo=undo)
        # All are written before the first takes its place, so that a full disk leaves no key without its certificate.
        # Each is replaced at once; whoever reads between two of them finds a pair that does not match, and reads again.
        for name, path in new.items():
            if replace:
                os.replace(path, folder / name)
    except OSError as error:
        raise _unwritable(f"to {folder}", error) from None


def _unwritable(what: str, error: OSError) -> OutputFailed:
    return OutputFailed(f"cannot write {what}: {error.strerror}", remedy=remedy_for(error))


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # somebody else has put something into it
        folder.rmdir()


def _remove_leftovers(folder: Path, name: str) -> None:
    """What a renewal that was cut off has left: it served nobody, and may hold a key."""
    for path in (folder / f"{name}.new", *folder.glob(f"{name}.*.new")):
        path.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, limit=SMALL)
    except Unreadable as error:
        raise SettingsError(f"{path} {error}") from None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", remedy=remedy_for(error)) from error
