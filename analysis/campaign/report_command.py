"""`heliograph campaign report FILE`: tables, curves and JSON of what is there, without running anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.campaign.request import Request, add_campaign_arguments, request_of
from heliograph.cli import Command
from heliograph.output_arguments import output_file, output_folder


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    parser.add_argument(
        "--to", type=output_folder, metavar="FOLDER", help="of the report; default: that of the results"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the report to FILE, too; - for stdout")


def run(namespace: argparse.Namespace) -> int:
    request = request_of(namespace)
    report(request, folder=namespace.to or request.places.results, json=namespace.json)
    return 0


def report(request: Request, *, folder: Path, json: Path | None) -> None:
    """Print the report, and write README.md, report.json and the plots into a folder.  Raises OutputFailed."""
    from analysis.campaign.document import document_of, report_of
    from analysis.campaign.page import markdown, print_report
    from analysis.campaign.standing import standings
    from heliograph.documents import write_json
    from heliograph.errors import OutputFailed
    from heliograph.extras import extra
    from heliograph.optional import optional
    from heliograph.writing import write_text

    found = report_of(request.settings, standings(request.runs(), request.plans, request.places))
    document = document_of(found)
    alone = json == Path("-")  # then stdout is for the document
    if not alone:
        print_report(found)
    try:
        write_json(document, json)
    finally:  # neither costs the other
        if folder == request.places.results:
            request.places.make()
        plots: list[str] = []
        with optional("no plots"), extra("bandwidth", packages={"matplotlib"}, purpose="drawing plots"):
            from analysis.campaign.plots import figures, save

            folder.mkdir(parents=True, exist_ok=True)
            for name, figure in figures(found).items():
                save(figure, folder / name)
                plots.append(name)
        write_json(document, folder / "report.json")
        try:
            write_text(folder / "README.md", markdown(found, file=request.file.name, plots=plots))
        except OSError as error:
            raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Name another: --to") from error
        if not alone:
            print(f"written to {folder}: README.md, report.json{''.join(f', {name}' for name in plots)}")


COMMAND = Command(summary="tables and learning curves of what a campaign has found", configure=configure, run=run)
