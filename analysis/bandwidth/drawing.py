"""Draws the report's plots where matplotlib is installed.  Imports it only then."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.errors import SettingsError
from heliograph.extras import extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130


def bandwidth_extra(purpose: str) -> AbstractContextManager[None]:
    """Turn the missing import of matplotlib inside the block into MissingExtra; `purpose` is what needs it."""
    return extra("bandwidth", packages={"matplotlib"}, purpose=purpose)


def draw(document: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw `NAME.png` for every plot that the document has numbers for; their paths by name.

    Raises MissingExtra without matplotlib, SettingsError if the folder cannot be written.
    """
    with bandwidth_extra("drawing plots"):
        from analysis.bandwidth import plots
    figures: dict[str, Figure | None] = {}
    if any(row["bytes_per_message"] is not None for row in document["layers"]):
        figures["layers"] = plots.layers(document)
    if document["links"]:
        figures["links"] = plots.links(document)
    if document["information"] is not None:
        figures["entropy"] = plots.entropy(document)
        figures["entropy_by_step"] = plots.entropy_by_step(document)
    if document["sweep"] is not None and document["sweep"]["curves"]:
        figures["score_against_bits"] = plots.score_against_bits(document)
        figures["score_against_faults"] = plots.score_against_faults(document)
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            if figure is not None:
                written[name] = folder / f"{name}.png"
                figure.savefig(written[name], dpi=DOTS_PER_INCH, pil_kwargs={"optimize": True})
    except OSError as error:
        raise SettingsError(f"cannot write to {folder}: {error.strerror}", remedy="Name another: --out") from error
    return written
