"""Fetches a team from a hub: whole or not at all, checked before it is there, and gone on with where it was broken off.

Files are collected in `.NAME.partial` beside the folder that they are for.  They are bytes to be checked, and nothing
of them is run or unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from heliograph.bundle import Bundle
from heliograph.claim import claim
from heliograph.errors import BundleCorrupt, HeliographError, OutputFailed, SettingsError
from heliograph.hub.client import Place, headers_of_user, hub_errors, hub_extra
from heliograph.hub.listing import Listing, Part, list_team
from heliograph.hub.team_folder import checked_team
from heliograph.reading import SMALL, Unreadable, read_json
from heliograph.writing import replace_text

if TYPE_CHECKING:
    import httpx2

MOST_BYTES = 2 * 2**30
"""Of a whole team, unless the caller says otherwise."""
_CHUNK = 2**20
_SOURCE, _LOCK, _FILES = "source.json", "lock", "files"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A team that has come."""

    folder: Path
    commit: str
    bundles: tuple[Bundle, ...]
    trusted: bool
    """A trusted key has signed all bundles."""
    others: tuple[str, ...]
    """Files of the repository that were left there."""
    resumed_bytes: int
    """What an earlier attempt had fetched."""


def pull(
    place: Place,
    folder: Path,
    *,
    revision: str = "main",
    trusted_keys: Sequence[Path] = (),
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pulled:
    """Fetch a repository's team into a folder that is not there yet.

    `progress` is told the bytes that are there, and those of all files.  Raises SettingsError for a folder that is
    there, a repository that is not, or one that holds no team; NetworkError if the hub is gone: the same call then goes
    on; BundleError for a team that is not whole, not signed as it must be, or of operators that are not known, and
    then nothing of it is kept; MissingExtra.
    """
    with hub_extra():
        import huggingface_hub  # noqa: F401 (whether it is there)

        from heliograph.hub.transport import BoundedClient
    folder = folder.absolute()
    if os.path.lexists(folder):
        raise SettingsError(f"{folder} is there already", remedy="Name another folder with --to, or remove it")
    headers = headers_of_user()
    doing = f"pulling {place.repository}"
    with (
        hub_errors(place, doing=doing, remedy="The same command goes on where it stopped"),
        BoundedClient() as client,
    ):
        listing = list_team(client, place, revision, headers, most_bytes=most_bytes)
        with _collecting(folder, place, listing) as staging:
            resumed = _fetch(client, place, listing, headers, staging / _FILES, progress)
            try:
                team, trusted = checked_team(staging / _FILES, trusted_keys, named=str(place))
            except HeliographError:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            os.replace(staging / _FILES, folder)
            shutil.rmtree(staging, ignore_errors=True)
    return Pulled(
        folder=folder,
        commit=listing.commit,
        bundles=tuple(team),
        trusted=trusted,
        others=listing.others,
        resumed_bytes=resumed,
    )


@contextmanager
def _collecting(folder: Path, place: Place, listing: Listing) -> Iterator[Path]:
    """The folder in which files wait to be complete, of this commit alone, and of this process alone."""
    staging = folder.with_name(f".{folder.name}.partial")
    source = {"repository": place.repository, "endpoint": place.endpoint, "commit": listing.commit}
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with (staging / _LOCK).open("w") as lock:
            if not claim(lock.fileno()):
                raise SettingsError(f"another process pulls into {folder}", remedy="Wait for it")
            if _read_source(staging / _SOURCE) != source:
                shutil.rmtree(staging / _FILES, ignore_errors=True)
            replace_text(staging / _SOURCE, json.dumps(source) + "\n")
            (staging / _FILES).mkdir(exist_ok=True)
            yield staging
    except OSError as error:
        if error.strerror is None:  # of huggingface-hub, whose errors are OSErrors, too
            raise
        raise OutputFailed(f"cannot write {staging}: {error.strerror}", remedy="Name another folder") from error


def _read_source(path: Path) -> object:
    try:
        return read_json(path, limit=SMALL)
    except (FileNotFoundError, Unreadable):
        return None


# Six parameters: one call of one place.
def _fetch(
    client: httpx2.Client,
    place: Place,
    listing: Listing,
    headers: dict[str, str],
    files: Path,
    progress: Callable[[int, int], None],
) -> int:
    """Fetch every part that is not there whole; the bytes that were there before."""
    total, done, resumed = sum(part.size for part in listing.parts), 0, 0
    for part in listing.parts:
        path = files / part.name
        path.parent.mkdir(parents=True, exist_ok=True)
        had = path.stat().st_size if path.is_file() else 0
        if had > part.size or path.is_symlink():
            path.unlink()
            had = 0
        resumed += had
        digest = part.new_hash()
        with path.open("a+b") as file:
            file.seek(0)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            done += had
            if had < part.size:
                url = f"{place.endpoint}/{place.repository}/resolve/{listing.commit}/{quote(part.name)}"
                for chunk in _content(client, url, part, headers, start=had):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    progress(done, total)
        if digest.hexdigest() != part.digest:
            path.unlink()
            raise BundleCorrupt(f"{part.name} of {place} is not what the hub lists", remedy="Pull it again")
    return resumed


def _content(client: httpx2.Client, url: str, part: Part, headers: dict[str, str], *, start: int) -> Iterator[bytes]:
    """The part's bytes from `start` on, never more than it has."""
    # What is compressed on the way could be any size, and cannot be gone on with.
    wanted = headers | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client.stream("GET", url, headers=wanted) as response:
        response.raise_for_status()
        skip = start if response.status_code != 206 else 0  # a server without ranges begins anew
        left = part.size - start
        for chunk in response.iter_raw():  # as it comes: what waits for a whole block would be lost with the connection
            chunk, skip = chunk[skip:], max(0, skip - len(chunk))
            left -= len(chunk)
            if left < 0:
                raise BundleCorrupt(f"{part.name} is longer than the hub lists", remedy="Pull it again")
            yield chunk
    if left:
        import httpx2

        raise httpx2.RemoteProtocolError(f"{part.name} ends {left} bytes early")
