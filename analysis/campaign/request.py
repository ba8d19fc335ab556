"""What every subcommand of `heliograph campaign` has in common: its arguments, and the campaign that they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
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


def add_pace_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="niceness of the runs, 0 to 19: others first")


def check_pace(namespace: argparse.Namespace) -> None:
    """Raise SettingsError for what `add_pace_arguments` cannot mean."""
    from heliograph.errors import SettingsError

    if namespace.jobs < 1:
        raise SettingsError(f"--jobs {namespace.jobs}: at least one run at a time")
    if not 0 <= namespace.nice <= 19:
        raise SettingsError(f"--nice {namespace.nice} is not in 0..19")


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


def request_of(
    namespace: argparse.Namespace,
    *,
    cells: Callable[[CampaignSettings, Places], Sequence[Cell]] | None = None,
) -> Request:
    """Read and resolve the campaign, or the `cells` that somebody makes of it.

    Raises as `read_campaign`, `cells_of`, `plans_of` and `Places.check`.
    """
    from analysis.campaign.grid import cells_of
    from analysis.campaign.places import places_of
    from analysis.campaign.planning import plans_of
    from analysis.campaign.settings import read_campaign

    settings = read_campaign(namespace.file)
    places = places_of(settings.name, namespace.out, namespace.results)
    found = cells_of(settings) if cells is None else cells(settings, places)
    plans = plans_of(found, permission=permission_of(namespace), source=f"campaign {namespace.file}")
    places.check()
    permission = [word for path in namespace.allow_environment for word in ("--allow-environment", path)]
    permission += [word for value in namespace.allow_parameter for word in ("--allow-parameter", value)]
    return Request(
        file=namespace.file,
        settings=settings,
        cells=found,
        plans={plan.cell.name: plan for plan in plans},
        places=places,
        permission=permission,
    )
