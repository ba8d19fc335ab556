"""`heliograph campaign tune FILE`: search for the settings of one method."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.campaign.request import Request, add_campaign_arguments, add_pace_arguments, check_pace, request_of
from heliograph.cli import Command
from heliograph.output_arguments import output_file

if TYPE_CHECKING:
    from analysis.campaign.tuning.trials import Trial


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    add_pace_arguments(parser)
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the trials to FILE; - for stdout")


def run(namespace: argparse.Namespace) -> int:
    from analysis.campaign.tuning.tuning import Tuning
    from heliograph.documents import write_json

    check_pace(namespace)
    made = Tuning(lambda trials: _request(namespace, trials), jobs=namespace.jobs, nice=namespace.nice)
    code = made.run()
    write_json(made.document(), namespace.json)
    if namespace.json != Path("-"):
        made.print_table()
    return code


def _request(namespace: argparse.Namespace, trials: Sequence[Trial]) -> Request:
    """The campaign whose cells are those of the trials."""
    from analysis.campaign.tuning.trials import cells_of_trials

    return request_of(namespace, cells=lambda settings, _: cells_of_trials(settings, trials))


COMMAND = Command(summary="search for the settings of a campaign's method", configure=configure, run=run)
