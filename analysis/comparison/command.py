"""`heliograph compare`: runs side by side, with intervals over their seeds, as tables, plots and CSV."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.cli import Command, keep_old_name
from heliograph.output_arguments import output_file, output_folder

METRICS = ("outcome", "return")
POLICIES = ("greedy", "sampled")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[LABEL=]RUN",
        help="run folder, folder of run folders, or marl-eval JSON file; runs with one label are seeds of one thing",
    )
    parser.add_argument("--by", metavar="SETTING", help="label runs by a setting, such as mamba.model.communication")
    parser.add_argument("--metric", choices=METRICS, default="outcome", help="metric to compare")
    parser.add_argument("--policy", choices=POLICIES, default="greedy", help="policy whose evaluations are compared")
    out = parser.add_argument(
        "--out", type=output_folder, default="comparison", metavar="FOLDER", help="for plots and CSV"
    )
    keep_old_name(parser, "--output", out)
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write everything to FILE as well")


def run(namespace: argparse.Namespace) -> int:
    from dataclasses import asdict

    from analysis.comparison.document import document_of
    from analysis.comparison.histories import mixed_labels
    from analysis.comparison.report import print_report
    from analysis.comparison.results import learning_curves, sections
    from analysis.comparison.sources import read_histories
    from analysis.comparison.tables import files
    from analysis.comparison.tasks import make_tasks
    from analysis.tables.csv_files import write_tables
    from heliograph.documents import write_json
    from heliograph.errors import MissingExtra
    from heliograph.extras import extra
    from heliograph.optional import optional

    histories = read_histories(namespace.runs, metric=namespace.metric, policy=namespace.policy, by=namespace.by)
    for sentence in mixed_labels(histories):
        print(f"heliograph compare: {sentence}", file=sys.stderr)
    tasks = make_tasks(histories)
    found, curves = sections(tasks), learning_curves(tasks)
    alone = namespace.json == Path("-")  # then stdout is for the document
    if not alone:
        print_report(found, curves)
    if namespace.json is not None:
        document = document_of(found, curves, metric=namespace.metric, policy=namespace.policy)
        write_json(asdict(document), namespace.json)
    written = write_tables(files(tasks, found, curves), namespace.out)
    missing = None
    with optional("no plots"):
        try:
            with extra("bandwidth", packages={"matplotlib"}, purpose="drawing plots"):
                from analysis.comparison.plots import draw_plots

                written += draw_plots(namespace.out, found, curves)
        except MissingExtra as error:
            missing = error
    if not alone:
        print(f"written to {namespace.out}: {', '.join(path.name for path in written)}")
    if missing is not None:
        raise missing
    return 0


COMMAND = Command(summary="compare runs with intervals over their seeds", configure=configure, run=run)
