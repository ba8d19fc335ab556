"""Puts a team with its card onto a hub, in one commit: everything of it or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.errors import BundleUntrusted, HeliographError, SettingsError
from heliograph.hub.client import Place, hub_errors, hub_extra, token
from heliograph.hub.listing import file_names
from heliograph.hub.team_folder import BUNDLES, CARD_FILE, README, checked_team, files_of, size_limit
from heliograph.reading import printable

if TYPE_CHECKING:
    from heliograph.hub.transport import Line


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What has become of it."""

    url: str
    commit: str
    files: tuple[str, ...]


def push(
    folder: Path,
    place: Place,
    *,
    private: bool = False,
    unsigned: bool = False,
    trusted_keys: Sequence[Path] = (),
    message: str = "A team and its card",
) -> Pushed:
    """Put the parts of a card's folder into a repository, which is made if it is not there.

    Parts of a team that the repository holds and this one has not are removed from it by the same commit, since an
    audit or a drawing that stayed would be of other bundles; other files stay.
    Raises SettingsError without a card or a token, and where the token may not write; BundleError for a team that is
    not whole, not that of the card, or not signed, unless it may be `unsigned`; NetworkError; MissingExtra.
    """
    with hub_extra():
        import huggingface_hub  # noqa: F401 (whether it is there)

        from heliograph.hub.transport import Line

    if not (folder / CARD_FILE).is_file() or not (folder / README).is_file():
        raise SettingsError(f"{folder} holds no card", remedy="Write one: heliograph card RUN --to FOLDER")
    team, _ = checked_team(folder, trusted_keys, named=str(folder))
    if not unsigned and any(bundle.signature is None for bundle in team):
        raise BundleUntrusted(
            f"the bundles in {folder} are not signed",
            remedy="Sign them: heliograph card RUN --sign KEY, or say --unsigned",
        )
    if (mine := token()) is None:
        raise SettingsError("pushing needs a token of the hub", remedy="Log in with `hf auth login`, or set HF_TOKEN")
    names = [name for name in files_of(folder) if not name.startswith(f"{BUNDLES}/") or _slot(name) < len(team)]
    import httpx2

    line = Line()
    with (
        hub_errors(place, doing=f"pushing {place.repository}"),
        warnings.catch_warnings(action="ignore"),
        _bounded(line),
    ):
        try:
            commit = line.runs(
                lambda: _commit(folder, place, names, line, token=mine, private=private, message=message)
            )
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            # Its own checks of what a hub answers; where an upload failed, of that failure.
            if isinstance(error.__cause__, (OSError, HeliographError, httpx2.HTTPError)):
                raise error.__cause__ from None
            raise SettingsError(
                f"{place.endpoint} does not take the team: {printable(str(error)) or type(error).__name__}",
                remedy="Look at the address of the endpoint, and at the head of README.md",
            ) from error
    return Pushed(url=f"{place.endpoint}/{place.repository}", commit=commit, files=tuple(names))


def _slot(name: str) -> int:
    return int(name.split("/")[1].removeprefix("agent-"))


@contextmanager
def _bounded(line: Line) -> Iterator[None]:
    """Inside, huggingface-hub's requests have bounds, which its own lack, and are left with the line."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http

    from heliograph.hub.transport import BoundedClient

    # Its newer storage has a client of its own, whose waits have no bounds; hubs take large files without it, too.
    other_storage, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    # For the whole process: that package has no other way, nor one to say which there was.
    other_clients = _http._GLOBAL_CLIENT_FACTORY
    set_client_factory(lambda: BoundedClient(line))
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = other_storage
        set_client_factory(other_clients)


# Seven parameters: what of which folder goes where, and how.
def _commit(
    folder: Path, place: Place, names: Sequence[str], line: Line, *, token: str, private: bool, message: str
) -> str:
    """Make the repository if need be, and the commit; its id."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    from heliograph.hub.transport import BoundedClient

    api = HfApi(endpoint=place.endpoint, token=token, library_name="heliograph")
    api.create_repo(place.repository, private=private or None, exist_ok=True)
    with BoundedClient(line) as client:
        there = file_names(client, place)
    stale = [name for name in there if name not in names and (name.startswith(f"{BUNDLES}/") or size_limit(name))]
    found = api.create_commit(
        place.repository,
        [
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name)) for name in names),
            *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in stale),
        ],
        commit_message=message,
    )
    return found.oid
