"""Writes a card's folder, whole or not at all: page, figures, evidence, drawing, and the bundles that they are of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.card.card import Card
from analysis.card.page import page
from heliograph.bundle import Bundle, save_team
from heliograph.errors import OutputFailed, SettingsError
from heliograph.hub.team_folder import AUDIT, BUNDLES, CARD, CARD_FILE, DRAWING, EVALUATION, README
from heliograph.reading import DOCUMENT, Unreadable, read_bytes
from heliograph.writing import write_text


def check_place(folder: Path) -> None:
    """Raise SettingsError if something stands there that is not an earlier card's folder, or holds more than a card."""
    if not folder.exists():
        return
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    if there and not (folder / CARD_FILE).is_file():
        raise SettingsError(f"{folder} is there and holds no card", remedy="Name another folder with --to")
    if others := sorted(there - {README, CARD_FILE, DRAWING, EVALUATION, AUDIT, BUNDLES}):
        raise SettingsError(
            f"{folder} would be replaced whole, and holds what is no part of a card: {', '.join(others[:8])}",
            remedy="Move that away, or name another folder with --to",
        )


def write_card(card: Card, bundles: Sequence[Bundle], folder: Path, *, evidence: dict[str, Path]) -> None:
    """Replace the folder; `evidence` says where EVALUATION, AUDIT and DRAWING are, as far as they are.

    Raises OutputFailed if the disk refuses; what was there is then still whole.
    """
    place = folder.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as temporary:
            staging, last = Path(temporary) / "next", Path(temporary) / "last"
            staging.mkdir()
            for name in (EVALUATION, AUDIT, DRAWING):
                if name in evidence:
                    (staging / name).write_bytes(_evidence(evidence[name]))
            save_team(bundles, staging / BUNDLES)
            CARD.write(staging / CARD_FILE, asdict(card))
            write_text(staging / README, page(card, drawing=DRAWING in evidence))
            if place.exists():
                os.replace(place, last)
            try:
                os.replace(staging, place)
            except OSError:
                if last.exists():
                    os.replace(last, place)
                raise
            shutil.rmtree(last, ignore_errors=True)
    except OSError as error:
        raise OutputFailed(
            f"cannot write {folder}: {error.strerror}", remedy="Name another folder with --to"
        ) from error


def _evidence(path: Path) -> bytes:
    try:
        return read_bytes(path, limit=DOCUMENT)
    except Unreadable as error:
        raise SettingsError(f"{path} {error}") from None
