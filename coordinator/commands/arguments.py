"""Arguments that several commands of this house share.  Imports nothing heavy: `--help` must be quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.channel.keys import KEYS
from coordinator.watch.command import DEFAULT_ADDRESS
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.grace import add_rejoin_argument
from heliograph.listening import as_address, parse_address
from heliograph.metrics import add_metrics_argument
from heliograph.tracing import add_trace_argument

if TYPE_CHECKING:
    from coordinator.channel import Channel
    from coordinator.plan.trust import Trust


def seed(text: str) -> int:
    """A seed of a run.  Raises ArgumentTypeError for one that not every part of a run could take."""
    if not text.isdecimal() or int(text[:21]) >= 2**64:
        raise argparse.ArgumentTypeError(f"the seed must be in 0..2**64-1, not {text}")
    return int(text)


def add_episode_arguments(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """What to play: bundles' team size, episodes, seed, greediness, world, links, outputs.

    Returns the group of options of which only one may be given, for more ways to choose the policy.
    """
    parser.add_argument("--agents", type=int, help="team size; refused unless the bundles are for it")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of each pass")
    parser.add_argument("--seed", type=seed, default=0, help="of the run: worlds and the agents' noise follow from it")
    parser.add_argument(
        "--most-steps",
        type=int,
        default=10_000,
        metavar="N",
        help="cut an episode that its environment has not ended after so many steps; it counts for its return until "
        "then, or as not won",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--greedy", action="store_true", default=True, help="most likely latents and actions (the default)"
    )
    choice.add_argument("--sampled", dest="greedy", action="store_false", default=True, help="sampled ones instead")
    parser.add_argument("--environment", help="refused unless the bundles were trained in it")
    add_permission_arguments(parser)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a parameter of the environment; may be given several times",
    )
    parser.add_argument(
        "--links",
        choices=("open", "cut", "both"),
        default="open",
        help="as the world says; every message masked; or both, one pass after the other",
    )
    parser.add_argument(
        "--codec",
        default="bit-packed",
        metavar="SPEC",
        help="how latents are written: bit-packed, entropy, most-informative:M, repeats",
    )
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"simulate faults of the links; may be given several times.  {'; '.join(KEYS.values())}",
    )
    parser.add_argument(
        "--late", choices=("mask", "hold"), default="mask", help="a late message is absent, or the last one stands in"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every step to FILE (.jsonl or .jsonl.gz)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report to FILE; - for stdout")
    parser.add_argument(
        "--minimum-outcome", type=float, metavar="X", help="exit with code 1 if the first pass comes out below X"
    )
    return choice


def add_pace_arguments(parser: argparse.ArgumentParser) -> None:
    """How the world waits for its nodes."""
    parser.add_argument("--message-deadline-s", type=float, default=1.0, help="how long a node waits for messages")
    parser.add_argument(
        "--action-deadline-s", type=float, default=5.0, help="how long the world waits for a node's action"
    )
    parser.add_argument("--period-s", type=float, help="start steps on a clock with this period")
    parser.add_argument("--start-timeout-s", type=float, default=60.0, help="until every node must have joined")
    parser.add_argument(
        "--connect-timeout-s", type=float, default=10.0, help="then until every pair of nodes should be connected"
    )


def add_grace_argument(parser: argparse.ArgumentParser) -> None:
    """How long a cut may last."""
    add_rejoin_argument(
        parser,
        help="how long coordinator and nodes look for one another after a cut, with the world paused; nodes are told",
    )


def add_resume_argument(parser: argparse.ArgumentParser) -> None:
    """What to go on with after the coordinator died."""
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep finished episodes in FILE, and go on after those it has (.jsonl)",
    )


def add_watch_argument(parser: argparse.ArgumentParser) -> None:
    """A page on which it can be seen while it goes on."""
    parser.add_argument(
        "--watch",
        nargs="?",
        const=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"serve a page on which the team can be seen and paused, at {DEFAULT_ADDRESS} if no address is given",
    )


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be seen of processes while they go on."""
    add_watch_argument(parser)
    add_metrics_argument(
        parser, help="serve Prometheus metrics here; nodes that are started here use the ports that follow"
    )
    add_trace_argument(parser)


def node_metrics(address: str | None, slot: int) -> tuple[str, ...]:
    """The node's own --metrics, for a run whose metrics are at an address: the ports after it, by slot."""
    if address is None:
        return ()
    host, port = parse_address(address)
    return ("--metrics", as_address(host, port + 1 + slot if port else 0))


def channel(namespace: argparse.Namespace) -> Channel | None:
    """The channel that was asked for.  Raises SettingsError if it cannot be."""
    from coordinator.channel import Channel

    return Channel.parse(*namespace.channel) if namespace.channel else None


def trust(namespace: argparse.Namespace) -> Trust:
    """Whom the command trusts with what.  Raises SettingsError for a malformed value."""
    from coordinator.plan.trust import Trust

    return Trust(
        user=permission_of(namespace),
        keys=tuple(namespace.trusted_key or ()),
        insecure=getattr(namespace, "insecure", False),
    )


def passes(namespace: argparse.Namespace) -> tuple[str, ...]:
    return ("open", "cut") if namespace.links == "both" else (namespace.links,)
