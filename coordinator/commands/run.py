"""`heliograph run`: a team as separate processes on this machine, or with nodes started elsewhere."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands import arguments
from coordinator.plan.options import add_options, read_options
from coordinator.plan.settings import RunSettings
from coordinator.running.launch_settings import LaunchSettings
from heliograph.certificates.arguments import add_trust_arguments, trust_options
from heliograph.cli import Command
from heliograph.errors import SettingsError

if TYPE_CHECKING:
    from coordinator.plan.plan import Plan

MADE_FOR_THE_RUN = Path()
"""Stands for `--tls` without a folder."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundles", type=Path, required=True, metavar="BUNDLES", help=arguments.BUNDLES_HELP)
    arguments.add_episode_arguments(parser, without=("frames",))
    add_options(parser, LaunchSettings)
    parser.add_argument(
        "--attach",
        metavar="HOST:PORT",
        help="listen here and wait for nodes that are started elsewhere, instead of starting them",
    )
    parser.add_argument(
        "--tls",
        type=Path,
        nargs="?",
        const=MADE_FOR_THE_RUN,
        metavar="DIR",
        help="talk mutual TLS, with certificates made for this run alone, or those that `heliograph certificates issue "
        "--team N` put into DIR",
    )
    add_trust_arguments(parser)


def run(namespace: argparse.Namespace) -> int:
    from dataclasses import replace

    from coordinator.commands.exit_status import conclude
    from coordinator.running.distributed import run_processes
    from coordinator.serving.team_certificates import temporary

    if namespace.attach and namespace.tls == MADE_FOR_THE_RUN:
        raise SettingsError(
            "nodes that are started elsewhere need certificates, too",
            remedy="Issue them with `heliograph certificates issue --team N`, and name their folder",
        )
    plan, launch = plan_and_launch(namespace, attach=namespace.attach)
    with ExitStack() as stack:
        if namespace.tls == MADE_FOR_THE_RUN:
            launch = replace(launch, certificates=stack.enter_context(temporary(len(plan.bundles))))
        return conclude(run_processes(plan, launch), namespace, restarts=launch.restarts)


def plan_and_launch(namespace: argparse.Namespace, *, attach: str | None) -> tuple[Plan, LaunchSettings]:
    """The checked plan, and where its nodes come from.

    Raises BundleUntrusted unless the bundles are signed as the arguments ask.
    """
    from coordinator.plan.plan import make_plan

    bundles, permission = arguments.trust(namespace).team(namespace.bundles)
    plan = make_plan(
        bundles,
        read_options(namespace, RunSettings),
        permission=permission,
        agents=namespace.agents,
        environment=namespace.environment,
        overrides=namespace.overrides,
    )
    launch = read_options(
        namespace,
        LaunchSettings,
        listen=attach or "127.0.0.1:0",
        spawn=attach is None,
        node_options=lambda slot: (
            *("--log-format", namespace.log_format),
            *arguments.node_metrics(namespace.metrics, slot),
            *(() if namespace.trace is None else ("--trace", namespace.trace)),
            *trust_options(namespace),
        ),
        certificates=namespace.tls,
        insecure=namespace.insecure,
        # What is of processes is of no use for nodes that are started elsewhere.
        **({} if attach is None else {"restarts": 0, "log_folder": None}),
    )
    return plan, launch


COMMAND = Command(summary="run a team as separate processes over gRPC", configure=configure, run=run)
