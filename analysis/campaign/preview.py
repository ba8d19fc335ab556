"""A campaign before, or amid, its run: the grid, how far it is, and how long the rest takes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.campaign.estimates import Left, duration, in_words, left, together
from analysis.campaign.settings import CampaignSettings
from analysis.campaign.standing import Standing
from heliograph import display
from heliograph.documents import DocumentFormat, write_json

COLUMNS = ("world", "method", "preset", "seeds", "steps", "limit", "state", "left")
GRID = DocumentFormat(name="heliograph-campaign-grid", version=1, what="the grid")


def show(campaign: CampaignSettings, found: Sequence[Standing], jobs: int, json: Path | None) -> None:
    """Print the grid, a row for each cell, or write it to `json`.  Raises OutputFailed."""
    cells: dict[str, list[Standing]] = {}
    for each in found:
        cells.setdefault(each.run.cell.name, []).append(each)
    parts = {name: left(members) for name, members in cells.items()}
    total = together(parts.values())
    write_json(_document(campaign, cells, parts, total, jobs), json)
    if json == Path("-"):
        return
    told = f"{campaign.name}: {len(cells)} cells, {len(found)} runs"
    shown = display.table(told, *COLUMNS, left=COLUMNS[:3])
    for name, members in cells.items():
        plan = members[0].plan
        shown.add_row(
            plan.cell.world,
            plan.cell.label,
            plan.cell.preset,
            _seeds([each.run.seed for each in members]),
            f"{plan.env_steps:,}",
            _limit(members[0]),
            ", ".join(f"{count} {state}" for state, count in Counter(each.state for each in members).items()),
            in_words(parts[name]),
        )
    output = display.console(width=160)
    output.print(shown)
    together_told = f"training left, in processor time: {in_words(total)}"
    if jobs > 1:
        together_told += f"; with --jobs {jobs}: {in_words(total, jobs=jobs)}"
    output.print(together_told, highlight=False, markup=False)
    for each in found:
        if each.detail:
            print(f"{each.run.name}: {each.state}: {each.detail}", file=sys.stderr)


def _document(
    campaign: CampaignSettings,
    cells: dict[str, list[Standing]],
    parts: dict[str, Left],
    total: Left,
    jobs: int,
) -> dict[str, Any]:
    return GRID.document(
        {
            "campaign": campaign.name,
            "jobs": jobs,
            "left": vars(total),
            "cells": [
                {
                    "world": members[0].run.cell.world,
                    "label": members[0].run.cell.label,
                    "preset": members[0].run.cell.preset,
                    "digest": members[0].plan.digest,
                    "env_steps": members[0].plan.env_steps,
                    "minutes": members[0].plan.minutes or None,
                    "cpu_minutes": members[0].plan.cpu_minutes or None,
                    "left": vars(parts[name]),
                    "runs": [
                        {"name": each.run.name, "seed": each.run.seed, "state": each.state, "detail": each.detail}
                        for each in members
                    ],
                }
                for name, members in cells.items()
            ],
        }
    )


def _limit(each: Standing) -> str:
    limits = [f"{duration(60 * each.plan.cpu_minutes)} of a processor"] if each.plan.cpu_minutes else []
    limits += [duration(60 * each.plan.minutes)] if each.plan.minutes else []
    return ", ".join(limits)


def _seeds(seeds: Sequence[int]) -> str:
    """As `0-2` where they follow one another."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))
