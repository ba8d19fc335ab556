"""Draws the report's plots where matplotlib is installed.  Imports it only then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analysis.bandwidth.extra import bandwidth_extra
from analysis.bandwidth.report.document import BandwidthReport
from heliograph.errors import OutputFailed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130


def draw(report: BandwidthReport, folder: Path) -> dict[str, Path]:
    """Draw `NAME.png` for every plot that the report has numbers for; their paths by name.

    Raises MissingExtra without matplotlib, OutputFailed if the folder cannot be written.
    """
    with bandwidth_extra("drawing plots"):
        from analysis.bandwidth.report import plots
    figures: dict[str, Figure | None] = {}
    if any(row.bytes_per_message is not None for row in report.layers):
        figures["layers"] = plots.layers(report)
    if report.links:
        figures["links"] = plots.links(report)
    if report.information is not None:
        figures["entropy"] = plots.entropy(report.information)
        figures["entropy_by_step"] = plots.entropy_by_step(report.information)
    if report.sweep is not None and report.sweep.curves:
        figures["score_against_bits"] = plots.score_against_bits(report.sweep)
        figures["score_against_faults"] = plots.score_against_faults(report.sweep)
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            if figure is not None:
                written[name] = folder / f"{name}.png"
                figure.savefig(written[name], dpi=DOTS_PER_INCH, pil_kwargs={"optimize": True})
    except OSError as error:
        raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Name another: --out") from error
    return written
