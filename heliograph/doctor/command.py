"""`heliograph doctor`: all parts of an installation, or those that are named."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.errors import SettingsError

if TYPE_CHECKING:
    from heliograph.doctor.finding import Finding

BASE = "base"
EXTRAS = (
    "trainer",
    "pack",
    "bandwidth",
    "observe",
    "trace",
    "wandb",
    "tune",
    "slurm",
    "hub",
    "zenoh",
    "mpe",
    "flatland",
    "smax",
    "mujoco",
    "gymnasium",
    "box2d",
    "smac",
)
PARTS = (BASE, *EXTRAS, "docker", "network")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"look at these alone, and fail unless they work: {', '.join(PARTS)}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _run(arguments: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from heliograph.doctor.finding import usable

    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        raise SettingsError(f"there is no part {unknown[0]!r} to look at", remedy=f"Name some of {', '.join(PARTS)}")
    parts = list(dict.fromkeys(arguments.parts or PARTS))
    with ThreadPoolExecutor(max_workers=2) as pool:  # they wait for processes
        report = dict(zip(parts, pool.map(_examine, parts), strict=True))
    _print_json(report) if arguments.json else _print(report)
    needed = arguments.parts or [BASE]
    return 0 if all(usable(report[part]) for part in needed) else 1


def _examine(part: str) -> list[Finding]:
    from heliograph.doctor import machine, network, packages, starcraft

    if part == BASE:
        return [
            *packages.examine_python(),
            *packages.examine_names(),
            *packages.examine_extra(packages.BASE),
            *machine.examine_machine(),
        ]
    if part == "docker":
        return machine.examine_docker()
    if part == "network":
        return network.examine_network()
    return starcraft.examine_smac() if part == "smac" else packages.examine_extra(part)


def _print_json(report: dict[str, list[Finding]]) -> None:
    import json
    from dataclasses import asdict

    from heliograph.doctor.finding import usable

    shown = {
        part: {"usable": usable(findings), "findings": [asdict(finding) for finding in findings]}
        for part, findings in report.items()
    }
    print(json.dumps(shown, indent=2))


def _print(report: dict[str, list[Finding]]) -> None:
    from heliograph.doctor.finding import usable

    for part, findings in report.items():
        print(f"{part}: {'ok' if usable(findings) else 'not usable'}")
        for finding in findings:
            print(f"  {finding.state:7}  {finding.name}{': ' if finding.detail else ''}{finding.detail}")
            if finding.remedy:
                print(f"           -> {finding.remedy}")
    optional = [part for part in report if part != BASE and not usable(report[part])]
    if optional and len(report) == len(PARTS):
        print("\nOnly base is needed by all; the others are for those who want them.")


COMMAND = Command(
    summary="look at this installation: what is there, what is missing, what to do", configure=_configure, run=_run
)
