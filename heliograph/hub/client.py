"""Talks to a model hub by huggingface-hub's rules: endpoint, token, and every failure as one sentence.

Its requests have bounds, which that package's own lack (`transport`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.errors import HeliographError, NetworkError, SettingsError
from heliograph.extras import extra
from heliograph.reading import printable

if TYPE_CHECKING:
    import httpx2

DEFAULT_ENDPOINT = "https://huggingface.co"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository on a hub."""

    repository: str
    """OWNER/NAME."""
    endpoint: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.endpoint}"


def place_of(repository: str, endpoint: str | None) -> Place:
    """The repository at an endpoint, by default that of HF_ENDPOINT or Hugging Face's.  Raises SettingsError."""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise SettingsError(f"{printable(repository[:99])!r} is no repository", remedy="Name it as OWNER/NAME")
    address = (endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    if not re.fullmatch(r"https?://[^/?#\s@]+(/[^?#\s@]*)?", address):
        raise SettingsError(
            f"{printable(address[:99])!r} is no address of a hub", remedy=f"Give one such as {DEFAULT_ENDPOINT}"
        )
    return Place(repository=repository, endpoint=address)


def hub_extra() -> AbstractContextManager[None]:
    """Turn a missing import inside the block into MissingExtra."""
    return extra("hub", packages={"huggingface_hub", "httpx2"}, purpose="exchanging teams with a hub")


def token() -> str | None:
    """The user's token, as huggingface-hub keeps it; None where there is none.

    Raises SettingsError for what no header can hold: the package that would send it would show it in its error.
    """
    from huggingface_hub import get_token

    mine = get_token()
    if mine is not None and not re.fullmatch(r"[!-~]+", mine):
        raise SettingsError(
            "the token of the hub holds a letter that no token has",
            remedy="Log in anew with `hf auth login`, or look at HF_TOKEN",
        )
    return mine


def headers_of_user() -> dict[str, str]:
    """Of a request: with the user's token, if there is one."""
    mine = token()
    return {"User-Agent": f"heliograph/{__version__}"} | ({"Authorization": f"Bearer {mine}"} if mine else {})


@contextmanager
def hub_errors(place: Place, *, doing: str, remedy: str = "Try again") -> Iterator[None]:
    """Inside, what goes wrong with the hub is raised as SettingsError or NetworkError, in one sentence.

    `doing` is what was done, as "pulling"; `remedy` what to do once a hub that is gone is back.
    """
    import httpx2
    from huggingface_hub import constants, errors

    from heliograph.hub import transport

    if constants.is_offline_mode():
        raise SettingsError(f"{doing} needs the network, and HF_HUB_OFFLINE is set", remedy="Unset it")
    try:
        yield
    except HeliographError:
        raise
    except (errors.HfHubHTTPError, httpx2.HTTPStatusError) as error:
        raise _refused(place, error.response, doing=doing, remedy=remedy) from None
    except httpx2.TimeoutException:
        raise NetworkError(
            f"{place.endpoint} is silent for {transport.SILENCE_S:g} s while {doing}", remedy=remedy
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        said = printable(str(error)) or type(error).__name__
        raise NetworkError(f"cannot reach {place.endpoint} while {doing}: {said[:200]}", remedy=remedy) from None


def _refused(place: Place, response: httpx2.Response, *, doing: str, remedy: str) -> HeliographError:
    """Hubs answer 401 or 404 for what is missing and for what one may not see, and do not say which."""
    status = response.status_code
    if response.headers.get("X-Error-Code") == "RevisionNotFound":
        return SettingsError(f"{place} has no such revision", remedy="Name a branch, a tag or a commit of it")
    if status in (401, 404):
        return SettingsError(
            f"there is no repository {place}, or this token may not see it",
            remedy="Look at its name, and log in with `hf auth login` or HF_TOKEN if it is private",
        )
    if status == 403:
        return SettingsError(
            f"{place.endpoint} does not allow {doing} to this token",
            remedy="Take a token that may write there, of `hf auth login` or HF_TOKEN",
        )
    if status == 429:
        return NetworkError(f"{place.endpoint} asks for fewer requests while {doing}", remedy="Try again later")
    return NetworkError(f"{place.endpoint} answers {status} while {doing}", remedy=remedy)
