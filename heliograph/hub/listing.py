"""What a repository holds at one commit: the files that are of a team, with their sizes and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from heliograph.errors import HeliographError, NetworkError, SettingsError
from heliograph.hub.client import Place, headers_of_user
from heliograph.hub.team_folder import CARD_FILE, size_limit
from heliograph.reading import Unreadable, parse_json, printable

if TYPE_CHECKING:
    import httpx2

MOST_PAGES = 100
"""Of a listing, each of up to 1,000 entries: more than the largest team has."""
MOST_FILES = 20_000
"""Of a repository: the largest team has 16,389."""
_PAGE = 8 * 2**20
"""Bytes of an answer."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file of a team, as the hub tells of it."""

    name: str
    size: int
    digest: str
    """Hex."""
    is_sha256: bool
    """Of the content, as large files have it; otherwise git's SHA-1 of a blob."""

    def new_hash(self) -> Any:
        """What to feed the content to; its `hexdigest()` is then the digest."""
        return hashlib.sha256() if self.is_sha256 else hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A commit, and what is in it."""

    commit: str
    parts: tuple[Part, ...]
    others: tuple[str, ...]
    """Names of files that are no part of a team."""


def list_team(
    client: httpx2.Client, place: Place, revision: str, headers: dict[str, str], *, most_bytes: int
) -> Listing:
    """What is there at a branch, tag or commit.

    Raises SettingsError for what is no team or larger than it may be, NetworkError for answers that make no sense, and
    what huggingface-hub and httpx raise.
    """
    base = f"{place.endpoint}/api/models/{place.repository}"
    found = _json(client, f"{base}/revision/{quote(revision, safe='')}?expand=sha", headers)
    commit = found.get("sha") if isinstance(found, dict) else None
    if not isinstance(commit, str) or not commit.isalnum() or len(commit) > 64:
        raise _nonsense(place)
    parts, others = [], []
    for entry in _entries(client, place, f"{base}/tree/{commit}?recursive=true", headers):
        if entry.get("type") != "file":
            continue
        name = entry.get("path")
        limit = size_limit(name) if isinstance(name, str) else None
        if limit is None:
            others.append(printable(str(name)[:99]))
            continue
        part = _part(place, entry)
        if part.size > limit:
            raise SettingsError(
                f"{part.name} of {place} has {part.size:,} bytes, and at most {limit:,} are taken",
                remedy="It is no team of this program",
            )
        parts.append(part)
    total = sum(part.size for part in parts)
    if total > most_bytes:
        raise SettingsError(
            f"{place} has {total // 2**20:,} MiB, and at most {most_bytes // 2**20:,} are taken",
            remedy="Allow more with --most-mib",
        )
    if CARD_FILE not in {part.name for part in parts}:
        raise SettingsError(f"{place} holds no team: there is no {CARD_FILE} in it", remedy="Look at its name")
    return Listing(commit=commit, parts=tuple(parts), others=tuple(others))


def file_names(client: httpx2.Client, place: Place) -> list[str]:
    """The names of all files of the branch `main`.  Raises as `list_team`."""
    url = f"{place.endpoint}/api/models/{place.repository}/tree/main?recursive=true"
    return [
        str(entry.get("path"))
        for entry in _entries(client, place, url, headers_of_user())
        if entry.get("type") == "file"
    ]


def _entries(client: httpx2.Client, place: Place, url: str, headers: dict[str, str]) -> Iterator[dict[str, Any]]:
    count = 0
    for _ in range(MOST_PAGES):
        links: dict[str, str] = {}
        found = _json(client, url, headers, links=links)
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise _nonsense(place)
        if (count := count + len(found)) > MOST_FILES:
            break
        yield from found
        if "next" not in links:
            return
        url = links["next"]
        if not url.startswith(f"{place.endpoint}/"):  # it would be handed the token
            raise _nonsense(place)
    raise SettingsError(f"{place} has too many files for a team", remedy="Look at its name")


def _part(place: Place, entry: dict[str, Any]) -> Part:
    large = entry.get("lfs")
    size = entry.get("size")
    digest = large.get("oid") if isinstance(large, dict) else entry.get("oid")
    if type(size) is not int or size < 0 or not isinstance(digest, str):
        raise _nonsense(place)
    return Part(name=entry["path"], size=size, digest=digest.lower(), is_sha256=isinstance(large, dict))


def _json(client: httpx2.Client, url: str, headers: dict[str, str], *, links: dict[str, str] | None = None) -> Any:
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _PAGE:
                raise _too_much(url)
        if links is not None:
            links |= {name: str(link["url"]) for name, link in response.links.items() if name and "url" in link}
    try:
        return parse_json(bytes(data))
    except Unreadable as error:
        raise _too_much(url, str(error)) from None


def _nonsense(place: Place) -> HeliographError:
    return NetworkError(f"{place.endpoint} answers as no hub does", remedy="Look at the address of the endpoint")


def _too_much(url: str, why: str = "is larger than the limit") -> HeliographError:
    return NetworkError(f"what {printable(url[:200])} answers {why}", remedy="Look at the address of the endpoint")
