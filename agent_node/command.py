"""`heliograph node`: one agent as a process.  Cheap to import; the frameworks load when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.certificates.arguments import add_security_arguments
from heliograph.cli import Command
from heliograph.grace import add_rejoin_argument
from heliograph.metrics import add_metrics_argument
from heliograph.tracing import add_trace_argument
from heliograph.transports import DEFAULT_TRANSPORT, TRANSPORTS


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coordinator", required=True, metavar="HOST:PORT", help="the coordinator to join")
    parser.add_argument(
        "--slot", type=int, help="the agent to be, 0..N-1; without it the certificate's, or one that nobody else is"
    )
    parser.add_argument("--bundle", type=Path, help="the slot's bundle; without it the coordinator hands it out")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="where peers dial this node")
    parser.add_argument("--advertise", metavar="HOST", help="host that peers dial, if not the one of --listen")
    parser.add_argument(
        "--transport",
        choices=TRANSPORTS,
        default=DEFAULT_TRANSPORT,
        help="what carries messages; nodes of different ones understand one another",
    )
    add_security_arguments(parser)
    add_metrics_argument(parser)
    add_trace_argument(parser)
    parser.add_argument(
        "--join-timeout-s", type=float, default=30.0, metavar="S", help="give up if not part of the run by then"
    )
    add_rejoin_argument(
        parser,
        help="look for a coordinator that is lost for so long, until one that was joined has said for how long",
    )
    # Of a coordinator that starts its own nodes: its process, without which none comes back at that address.
    parser.add_argument("--started-by", type=int, metavar="PID", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    from agent_node.process import run_node

    return run_node(arguments)


COMMAND = Command(summary="run one agent of a team as this process", configure=configure, run=run)
