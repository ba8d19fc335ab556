"""`heliograph coordinator`: serve a world and the bundles to nodes that are started elsewhere."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands import arguments
from coordinator.plan.options import add_options
from coordinator.running.launch_settings import LaunchSettings
from heliograph.certificates.arguments import add_security_arguments
from heliograph.cli import Command
from heliograph.errors import SettingsError

if TYPE_CHECKING:
    from coordinator.running.newer_bundles import Following

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundles", type=Path, metavar="BUNDLES", help=arguments.BUNDLES_HELP)
    parser.add_argument(
        "--follow",
        type=Path,
        metavar="RUN",
        help="hand bundles that appear in RUN/bundles to the nodes between episodes; begin with those that are there, "
        "unless --bundles names others",
    )
    parser.add_argument("--listen", default="127.0.0.1:7100", metavar="HOST:PORT", help="port 0 takes any free one")
    add_security_arguments(parser)
    arguments.add_episode_arguments(parser, without=("frames",))
    add_options(parser, LaunchSettings, without=("restarts", "log_folder", "transport"))


def run(namespace: argparse.Namespace) -> int:
    from dataclasses import replace

    from coordinator.commands.exit_status import conclude
    from coordinator.commands.run import plan_and_launch
    from coordinator.running.distributed import run_processes

    following = _following(namespace)
    plan, launch = plan_and_launch(namespace, attach=namespace.listen)
    launch = replace(launch, following=following)
    return conclude(run_processes(plan, launch), namespace)


def _following(namespace: argparse.Namespace) -> Following | None:
    """What is to be followed; then the bundles are those of it, unless others are named."""
    from coordinator.running.newer_bundles import Following
    from heliograph.run_status import BUNDLES, read_status

    if namespace.follow is None:
        if namespace.bundles is None:
            raise SettingsError(
                "there are no bundles to hand out", remedy="Name them with --bundles, or --follow a run"
            )
        return None
    for option in ("record", "resume"):
        if getattr(namespace, option) is not None:
            raise SettingsError(
                f"--{option} is of a run with the same bundles from its start to its end, which --follow changes",
                remedy=f"Leave out --{option}, or --follow",
            )
    newer = namespace.follow / BUNDLES
    status = read_status(namespace.follow)
    if namespace.bundles is None and not newer.is_dir():
        raise SettingsError(
            f"there are no bundles to begin with ({status.in_words(namespace.follow)})",
            remedy="Train with --set evaluation.export=true and wait for the first, or begin with others: --bundles",
        )
    if status.ended:
        logger.warning("newer bundles come by `heliograph export` alone, %s", status.in_words(namespace.follow))
    namespace.bundles = namespace.bundles or newer
    return Following(bundles=newer, trusted_keys=tuple(namespace.trusted_key), insecure=namespace.insecure)


COMMAND = Command(summary="serve a world to nodes started elsewhere", configure=configure, run=run)
