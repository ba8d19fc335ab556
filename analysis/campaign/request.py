"""What every subcommand of `heliograph campaign` has in common: its arguments, and the campaign that they name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.environments.arguments import add_permission_arguments, permission_of

if TYPE_CHECKING:
    from analysis.campaign.grid import Cell, Run
    from analysis.campaign.places import Places
    from analysis.campaign.planning import Plan
    from analysis.campaign.settings import CampaignSettings


def add_campaign_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.toml", help="the campaign: worlds, methods, seeds, budgets")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="for run folders and logs; default: runs/campaigns/NAME"
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="for a small file per finished run, which is enough to go on from and to report; default: OUT/results",
    )
    add_permission_arguments(parser)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A campaign, resolved."""

    file: Path
    settings: CampaignSettings
    cells: Sequence[Cell]
    """All of the file."""
    plans: Mapping[str, Plan]
    """By the name of their cell."""
    places: Places
    permission: Sequence[str]
    """The arguments that allow code and texts, for the commands that are started."""

    def runs(self, only: Sequence[str] = ()) -> list[Run]:
        """Those that are chosen, in their order.  Raises SettingsError for a name that there is not."""
        from analysis.campaign.grid import chosen, runs_of

        return runs_of(chosen(self.cells, only))


def request_of(namespace: argparse.Namespace) -> Request:
    """Read and resolve the campaign.  Raises as `read_campaign`, `cells_of`, `plans_of` and `Places.check`."""
    from analysis.campaign.grid import cells_of
    from analysis.campaign.places import places_of
    from analysis.campaign.planning import plans_of
    from analysis.campaign.settings import read_campaign

    settings = read_campaign(namespace.file)
    cells = cells_of(settings)
    plans = plans_of(cells, permission=permission_of(namespace), source=f"campaign {namespace.file}")
    places = places_of(settings.name, namespace.out, namespace.results)
    places.check()
    permission = [word for path in namespace.allow_environment for word in ("--allow-environment", path)]
    permission += [word for value in namespace.allow_parameter for word in ("--allow-parameter", value)]
    return Request(
        file=namespace.file,
        settings=settings,
        cells=cells,
        plans={plan.cell.name: plan for plan in plans},
        places=places,
        permission=permission,
    )
