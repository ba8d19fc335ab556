"""The team's grace: for how long nodes and coordinator look for one another after a cut.  Imports nothing heavy."""

from __future__ import annotations

import argparse

from heliograph.errors import SettingsError

REJOIN_S = 60.0
"""Unless the coordinator says otherwise: a switch that restarts, or a coordinator that is started again, is back by
then."""

LONGEST_REJOIN_S = 1e6
"""Eleven days; what is announced must fit in 32 bits of milliseconds."""


def add_rejoin_argument(parser: argparse.ArgumentParser, *, help: str) -> None:
    parser.add_argument("--rejoin-s", type=float, default=REJOIN_S, metavar="S", help=f"{help} (default: %(default)g)")


def check_rejoin(seconds: float) -> float:
    """The grace itself.  Raises SettingsError if nobody can wait for so long."""
    if not 0 <= seconds <= LONGEST_REJOIN_S:
        raise SettingsError(
            f"nobody can look for the others for {seconds:g} s after a cut",
            remedy=f"Give --rejoin-s 0 to {LONGEST_REJOIN_S:g} seconds; 0 gives up at once",
        )
    return seconds
