"""`heliograph campaign work`: one run, from wherever it is to its result; what `campaign run` starts for each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.campaign.request import add_campaign_arguments, request_of
from heliograph.cli import Command

if TYPE_CHECKING:
    from analysis.campaign.grid import Cell
    from analysis.campaign.places import Places
    from analysis.campaign.settings import CampaignSettings


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    parser.add_argument("--run", required=True, metavar="NAME", help="as the campaign calls it: WORLD/METHOD/seed-0")


def run(namespace: argparse.Namespace) -> int:
    from analysis.campaign.standing import standing
    from analysis.campaign.work import Worker
    from heliograph.errors import SettingsError

    def cell(settings: CampaignSettings, places: Places) -> Sequence[Cell]:
        """The run's alone, since resolving all takes its time; also one of a trial."""
        from analysis.campaign.grid import cells_of
        from analysis.campaign.tuning.trials import cells_of_trials, read_trials

        every = cells_of(settings)
        if settings.tune is not None:
            every += cells_of_trials(settings, read_trials(settings, places))
        return [each for each in every if namespace.run.startswith(f"{each.name}/")]

    request = request_of(namespace, cells=cell)
    found = next((each for each in request.runs() if each.name == namespace.run), None)
    if found is None:
        raise SettingsError(f"the campaign has no run {namespace.run!r}", remedy="`--dry-run` lists them")
    plan = request.plans[found.cell.name]
    request.places.make()
    if standing(found, plan, request.places).state.is_settled:
        return 0
    return Worker(found, plan, request.places, permission=request.permission).work()


COMMAND = Command(summary="train and measure one run of a campaign", configure=configure, run=run)
