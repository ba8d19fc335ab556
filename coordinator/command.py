"""`heliograph coordinator`: serve a world and the bundles to nodes that are started elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from coordinator import arguments
from heliograph.certificates.arguments import add_security_arguments
from heliograph.cli import Command


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundles", type=Path, required=True, metavar="DIR", help="folder with agent-0, agent-1, …")
    parser.add_argument("--listen", default="127.0.0.1:7100", metavar="HOST:PORT", help="port 0 takes any free one")
    add_security_arguments(parser)
    arguments.add_episode_arguments(parser)
    arguments.add_pace_arguments(parser)
    arguments.add_show_arguments(parser)
    arguments.add_resume_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from coordinator.conclusion import conclude
    from coordinator.rollout import run_processes
    from coordinator.run_command import plan_and_staging

    plan, staging = plan_and_staging(namespace, attach=namespace.listen)
    return conclude(run_processes(plan, staging), namespace)


COMMAND = Command(summary="serve a world to nodes started elsewhere", configure=configure, run=run)
