"""A team with its model card, as a folder or a repository of a hub: which files it has, and that they belong together.

    README.md         the model card, for people and for the hub
    card.json         its figures, and the bundles' digests, for programs
    episode.gif       an episode
    evaluation.json   the run's report, and
    audit.json        the audit, both of which the card tells of
    bundles/agent-0/  manifest.json, step.onnx, perhaps tables.json and manifest.sig

What else lies there is nobody's business here: it is neither sent nor fetched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.bundle import GRAPH, MANIFEST, MAX_BUNDLE_BYTES, SIGNATURE, TABLES, Bundle, load_team
from heliograph.certificates.signing_keys import require_trusted
from heliograph.documents import DocumentFormat
from heliograph.errors import BundleCorrupt
from heliograph.graph import check_graph
from heliograph.manifest import MAX_MANIFEST_BYTES
from heliograph.reading import DOCUMENT, SMALL

README, CARD_FILE, DRAWING, EVALUATION, AUDIT, BUNDLES = (
    "README.md",
    "card.json",
    "episode.gif",
    "evaluation.json",
    "audit.json",
    "bundles",
)
CARD = DocumentFormat(
    name="heliograph-card", version=1, what="the card", remedy="Write it with `heliograph card RUN --evaluate`"
)

MOST_SLOTS = 4096
"""As many as a manifest can name."""
_LIMITS = {README: SMALL, CARD_FILE: SMALL, DRAWING: DOCUMENT, EVALUATION: DOCUMENT, AUDIT: DOCUMENT}
_OF_A_BUNDLE = {MANIFEST: MAX_MANIFEST_BYTES, GRAPH: MAX_BUNDLE_BYTES, TABLES: DOCUMENT, SIGNATURE: SMALL}
_IN_A_BUNDLE = re.compile(r"bundles/agent-(0|[1-9][0-9]{0,3})/([a-z.]+)")


def size_limit(name: str) -> int | None:
    """The most bytes that the file of this name, with `/` between its parts, may have; None for one that is no part."""
    if name in _LIMITS:
        return _LIMITS[name]
    found = _IN_A_BUNDLE.fullmatch(name)
    return _OF_A_BUNDLE.get(found[2]) if found and int(found[1]) < MOST_SLOTS else None


def files_of(folder: Path) -> list[str]:
    """The names of the parts that are there, in order."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if size_limit(name) is not None)


def read_card(folder: Path) -> dict[str, Any]:
    """The fields of card.json.  Raises SettingsError if there is none, or none of this version."""
    return CARD.read(folder / CARD_FILE, _with_digests, limit=SMALL)


def checked_team(folder: Path, keys: Sequence[Path], *, named: str) -> tuple[list[Bundle], bool]:
    """The bundles, whole and one team, made of operators that are known, with the digests that the card tells.

    `named` is what errors call them.  The second value says whether one of the keys has signed them all.  Raises what
    `load_team` and `check_graph` raise, BundleCorrupt for other digests than the card's, BundleUntrusted for bundles
    that none of the keys has signed.
    """
    fields = read_card(folder)
    team = load_team(folder / BUNDLES)
    if [bundle.digest for bundle in team] != fields["digests"]:
        raise BundleCorrupt(
            f"the bundles of {named} are not those of its card", remedy="Its author has to write the card again"
        )
    for bundle in team:
        check_graph(bundle.graph)
    return team, require_trusted(team, keys)


def _with_digests(fields: dict[str, Any]) -> dict[str, Any]:
    digests = fields["digests"]
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise ValueError("its digests are no list of texts")
    return fields
