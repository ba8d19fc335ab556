"""`heliograph bandwidth`: what a team's messages cost on the wire, what they are worth, and what they say."""

from __future__ import annotations

import argparse
from pathlib import Path

from coordinator.commands.arguments import add_override_argument
from coordinator.plan.options import add_options
from coordinator.plan.settings import RunSettings
from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments
from heliograph.output_arguments import output_file, output_folder
from heliograph.subcommands import with_subcommands
from heliograph.transports import DEFAULT_TRANSPORT, TRANSPORTS


def configure_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundles",
        nargs="+",
        type=Path,
        metavar="BUNDLES",
        help="folders of bundles or run folders, seeds of one training: the first is measured, all are swept",
    )
    parser.add_argument(
        "--out", type=output_folder, default="bandwidth", metavar="FOLDER", help="for the report and its tables"
    )
    played = parser.add_argument_group("the measured run")
    # The sweep has codecs and seeds in the plural, and links of its own; the recording goes into the report's folder.
    add_options(
        played,
        RunSettings,
        without=("run_seed", "codec", "conditions", "record", "frames"),
        help={"episodes": "of the measured run, and of every cell of a sweep"},
    )
    played.add_argument(
        "--codec",
        action="append",
        metavar="SPEC",
        help="bit-packed, entropy, most-informative:M or repeats; default: bit-packed",
    )
    played.add_argument(
        "--seeds", default="0", metavar="SEED,…", help="of the cells of a sweep; the first is the measured run's"
    )
    add_override_argument(played)
    add_permission_arguments(played)
    add_trusted_key_argument(played)
    played.add_argument(
        "--namespaces",
        action="store_true",
        help="measure over network links that the kernel counts, in namespaces: root on Linux",
    )
    played.add_argument(
        "--transport",
        choices=TRANSPORTS,
        default=DEFAULT_TRANSPORT,
        help="what carries the messages of the measured run",
    )
    played.add_argument("--link-rate-kbit", type=float, metavar="R", help="kbit/s of each network link, each way")
    played.add_argument("--link-delay-ms", type=float, metavar="D", help="milliseconds of each network link, one way")
    played.add_argument("--link-loss", type=float, metavar="P", help="share of packets that each network link loses")
    played.add_argument(
        "--local", action="store_true", help="run the team in one process: no wire, the same trajectories"
    )
    played.add_argument(
        "--audit",
        nargs="?",
        const="",
        metavar="JSON",
        help="report who can influence whom: from the JSON of `heliograph audit`, or by an audit now",
    )
    swept = parser.add_argument_group("sweep")
    swept.add_argument(
        "--sweep",
        action="append",
        nargs="?",
        const="",
        metavar="AXIS=VALUES",
        help="run a grid: a fault of the channel (erasure=0,0.1,…,1; in a value with several parts + stands for a "
        "comma), codec=SPEC,…, kept=1,2,… most informative categoricals, late=mask,hold,predict, links=permuted (the "
        "messages of another episode; with --local-cells), or teams: RUNs of several trainings side by side; several "
        "times for several; alone: erasure from 0 to 1, and codecs",
    )
    swept.add_argument(
        "--local-cells",
        action="store_true",
        help="run each cell in one process; the measured run remains one of processes",
    )
    swept.add_argument("--resume", action="store_true", help="continue the sweep in the folder")
    swept.add_argument("--jobs", type=int, metavar="N", help="local cells that are run in parallel; default: 1")


def configure_recost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE", help="recording of a run: trace.jsonl.gz of a report")
    parser.add_argument(
        "--codec",
        action="append",
        required=True,
        metavar="SPEC",
        help="bit-packed, entropy, most-informative:M or repeats",
    )
    parser.add_argument("--out", type=output_folder, metavar="FOLDER", help="write recost.json and recost.csv there")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the results to FILE; - for stdout")


def configure_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE", help="recording of a run: trace.jsonl.gz of a report")
    parser.add_argument(
        "--bundles",
        type=Path,
        metavar="DIR",
        help="bundles that made the recording; adds which categoricals change actions",
    )
    parser.add_argument("--out", type=output_folder, metavar="FOLDER", help="write language.json, .csv and .png there")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the results to FILE; - for stdout")


def run_measure(namespace: argparse.Namespace) -> int:
    from analysis.bandwidth.measure_command import run

    return run(namespace)


def run_recost(namespace: argparse.Namespace) -> int:
    from analysis.bandwidth.trace_command import run_recost

    return run_recost(namespace)


def run_language(namespace: argparse.Namespace) -> int:
    from analysis.bandwidth.trace_command import run_language

    return run_language(namespace)


COMMAND = with_subcommands(
    "cost, value and content of a team's messages",
    {
        "measure": Command(
            summary="run a team, count its messages at every layer, and write a report; optionally a sweep over faults "
            "and codecs",
            configure=configure_measure,
            run=run_measure,
        ),
        "recost": Command(
            summary="compute what the messages of a recording would cost with other codecs",
            configure=configure_recost,
            run=run_recost,
        ),
        "language": Command(
            summary="analyse the content of the messages of a recording", configure=configure_language, run=run_language
        ),
    },
    default="measure",
)
