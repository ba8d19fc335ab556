"""`heliograph bandwidth`: what a team's messages cost on the wire, what they are worth, and what they say."""

from __future__ import annotations

import argparse
from pathlib import Path

from coordinator.channel.keys import KEYS
from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments
from heliograph.errors import SettingsError

PLAYED, RECOST, LANGUAGE = "BUNDLES", "recost", "language"
OPTIONS = {
    PLAYED: (
        *("episodes", "seeds", "sampled", "overrides", "codec", "channel", "late", "message_deadline_s"),
        *("action_deadline_s", "local", "namespaces", "link_rate_kbit", "link_delay_ms", "link_loss"),
        *("local_cells", "jobs", "sweep", "resume", "audit", "out"),
        *("allow_environment", "allow_parameter", "trusted_key"),
    ),
    RECOST: ("codec", "out", "json"),
    LANGUAGE: ("bundles", "out", "json"),
}
"""What may be given with what."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "%(prog)s BUNDLES [BUNDLES …] [--sweep [AXIS=VALUES]] [--out FOLDER] …\n"
        "       %(prog)s recost TRACE --codec SPEC [--codec SPEC …]\n"
        "       %(prog)s language TRACE --bundles DIR"
    )
    parser.add_argument(
        "what",
        nargs="+",
        metavar="BUNDLES",
        help="folders of bundles or run folders, seeds of one training: the first is measured, all are swept; "
        "or `recost TRACE`: recompute every layer of a recorded trace for other codecs; "
        "or `language TRACE`: read what the agents tell each other",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the report and its tables; default: bandwidth")
    parser.add_argument(
        "--codec",
        action="append",
        metavar="SPEC",
        help="bit-packed, entropy, most-informative:M, repeats; with recost several may be given",
    )
    played = parser.add_argument_group("playing a team")
    played.add_argument("--episodes", type=int, help="of the measured run, and of every cell; default: 100")
    played.add_argument("--seeds", metavar="SEED,…", help="of the cells; the first is the measured run's; default: 0")
    played.add_argument("--sampled", action="store_true", help="sampled latents and actions instead of the likeliest")
    played.add_argument(
        "--set", dest="overrides", action="append", metavar="KEY=VALUE", help="change a parameter of the environment"
    )
    add_permission_arguments(played)
    add_trusted_key_argument(played)
    played.add_argument(
        "--channel",
        action="append",
        metavar="KEY=VALUE",
        help=f"faults of a simulated channel, commas between several: {'; '.join(KEYS.values())}",
    )
    played.add_argument("--late", choices=("mask", "hold"), help="a late message is absent, or the last one stands in")
    played.add_argument("--message-deadline-s", type=float, help="how long a node waits for messages; default: 1")
    played.add_argument("--action-deadline-s", type=float, help="how long the world waits for a node; default: 5")
    played.add_argument(
        "--namespaces", action="store_true", help="measure over real links that the kernel counts: root on Linux"
    )
    played.add_argument("--link-rate-kbit", type=float, metavar="R", help="of each real link, each way")
    played.add_argument("--link-delay-ms", type=float, metavar="D", help="of each real link, one way")
    played.add_argument("--link-loss", type=float, metavar="P", help="share of packets that each real link loses")
    played.add_argument("--local", action="store_true", help="the team in one process: no wire, the same trajectories")
    played.add_argument(
        "--audit",
        nargs="?",
        const="",
        metavar="JSON",
        help="show who can influence whom: from the JSON of `heliograph audit`, or audit now",
    )
    swept = parser.add_argument_group("sweeping")
    swept.add_argument(
        "--sweep",
        action="append",
        nargs="?",
        const="",
        metavar="AXIS=VALUES",
        help="play a grid: a fault of the channel (erasure=0,0.1,…,1; in a value with several parts + stands for a "
        "comma), codec=SPEC,…, kept=1,2,… most informative categoricals, late=mask,hold; several times for several; "
        "alone: erasure from 0 to 1, and codecs",
    )
    swept.add_argument(
        "--local-cells", action="store_true", help="each cell in one process; the measured run is of processes still"
    )
    swept.add_argument("--resume", action="store_true", help="go on with the sweep in the folder")
    swept.add_argument("--jobs", type=int, metavar="N", help="local cells that are played side by side; default: 1")
    read = parser.add_argument_group("reading a trace")
    read.add_argument("--bundles", type=Path, metavar="DIR", help="the team that made the trace")
    read.add_argument("--json", type=Path, metavar="FILE", help="write what was found to FILE; - for stdout")


def run(namespace: argparse.Namespace) -> int:
    mode = namespace.what[0] if namespace.what[0] in (RECOST, LANGUAGE) else PLAYED
    allowed = OPTIONS[mode]
    foreign = [name for names in OPTIONS.values() for name in names if name not in allowed and getattr(namespace, name)]
    if foreign:
        options = ", ".join(f"--{_flag(name)}" for name in dict.fromkeys(foreign))
        raise SettingsError(
            f"`heliograph bandwidth {mode}` does not take {options}",
            remedy=f"It takes {', '.join(f'--{_flag(name)}' for name in allowed)}",
        )
    if mode == PLAYED:
        from analysis.bandwidth.play_command import run_played

        return run_played(namespace)
    if len(namespace.what) != 2:
        raise SettingsError(
            f"`heliograph bandwidth {mode}` reads one trace, not {len(namespace.what) - 1}",
            remedy=f"A folder that is called {mode!r} is written ./{mode}",
        )
    from analysis.bandwidth.trace_command import run_language, run_recost

    trace = Path(namespace.what[1])
    return run_recost(namespace, trace) if mode == RECOST else run_language(namespace, trace)


def _flag(name: str) -> str:
    return {"overrides": "set"}.get(name, name).replace("_", "-")


COMMAND = Command(
    summary="what a team's messages cost on the wire, what they are worth and what they say",
    configure=configure,
    run=run,
)
