"""Arguments that several commands share.  Imports nothing heavy: `--help` must be quick."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import TYPE_CHECKING

from coordinator.plan.options import add_options
from coordinator.plan.settings import RunSettings
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.listening import as_address, parse_address
from heliograph.output_arguments import output_file

if TYPE_CHECKING:
    from coordinator.plan.trust import Trust


BUNDLES_HELP = "folder of bundles, or a run folder that has them in bundles/"


def add_episode_arguments(
    parser: argparse.ArgumentParser, *, without: Collection[str] = ()
) -> argparse._ActionsContainer:
    """What to run: team, world, the settings of the run but `without` some fields, and where the results go.

    Returns the group of options of which only one may be given, for more ways to choose the policy.
    """
    parser.add_argument("--agents", type=int, help="team size; refused unless the bundles are for it")
    parser.add_argument("--environment", help="refused unless the bundles were trained in it")
    add_permission_arguments(parser)
    add_override_argument(parser)
    groups = add_options(parser, RunSettings, without=without)
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the report to FILE; - for stdout")
    parser.add_argument(
        "--minimum-outcome", type=float, metavar="X", help="exit with code 1 if the first condition comes out below X"
    )
    return groups["greedy"]


def add_override_argument(parser: argparse._ActionsContainer) -> None:
    """`overrides`, a list of texts."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a parameter of the environment",
    )


def node_metrics(address: str | None, slot: int) -> tuple[str, ...]:
    """The node's own --metrics, for a run whose metrics are at an address: the ports after it, by slot."""
    if address is None:
        return ()
    host, port = parse_address(address)
    return ("--metrics", as_address(host, port + 1 + slot if port else 0))


def trust(namespace: argparse.Namespace) -> Trust:
    """Whom the command trusts with what.  Raises SettingsError for a malformed value."""
    from coordinator.plan.trust import Trust

    return Trust(
        user=permission_of(namespace),
        keys=tuple(namespace.trusted_key or ()),
        insecure=getattr(namespace, "insecure", False),
    )
