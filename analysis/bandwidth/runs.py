"""The teams that are measured: run folders or folders of bundles, made for the same world and loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.bandwidth.cell import Cell
from coordinator.channel import Channel
from coordinator.plan.plan import Plan, make_plan
from coordinator.plan.settings import DEFAULTS, RunSettings
from coordinator.plan.trust import NOBODY, Trust
from heliograph.bundle import Bundle
from heliograph.codecs.registry import BIT_PACKED
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.errors import BundleMismatch
from heliograph.manifest import Manifest

TABLES = "tables for codecs"
OF_MESSAGES = ("message", TABLES)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trained team."""

    name: str
    folder: Path
    bundles: tuple[Bundle, ...]
    permission: Permission = CATALOGUE_ONLY
    """To make the world that they were trained in."""

    @property
    def manifest(self) -> Manifest:
        return self.bundles[0].manifest

    @property
    def common(self) -> dict[str, Any]:
        """What runs must share to be compared."""
        names = ("environment", "environment_parameters", "team_size", "message")
        shared = {name.replace("_", " "): getattr(self.manifest, name) for name in names}
        return {**shared, TABLES: "none" if self.bundles[0].tables is None else "some"}


@dataclass(frozen=True, kw_only=True)
class PlanFactory:
    """Who plays how: the plan of every cell, but for what the cell itself says."""

    runs: tuple[Run, ...]
    settings: RunSettings = DEFAULTS
    overrides: tuple[str, ...] = ()

    def run_of(self, cell: Cell) -> Run:
        return next(run for run in self.runs if run.name == cell.run)

    def plan(self, run: Run, *, seed: int, **arguments: Any) -> Plan:
        """A plan of one of the runs; `arguments` are fields of RunSettings."""
        return make_plan(
            run.bundles,
            self.settings,
            permission=run.permission,
            overrides=self.overrides,
            run_seed=seed,
            **arguments,
        )

    def __call__(self, cell: Cell) -> Plan:
        """The plan of a cell."""
        setting = cell.setting
        run = self.run_of(cell)
        return self.plan(
            run,
            seed=cell.seed,
            codec=BIT_PACKED if run.manifest.message is None else setting.codec,
            channel=Channel.parse(setting.channel) if setting.channel else None,
            late_policy=setting.late,
            conditions=(setting.links,),
            record=None,
        )


def load_runs(paths: Sequence[Path], trust: Trust = NOBODY, *, alike: bool = True) -> tuple[Run, ...]:
    """Load the teams.  Raises BundleError, also if they are not for the same world and team, and, unless they need not
    be `alike`, with the same messages."""
    teams = [trust.team(path) for path in paths]
    runs = tuple(
        Run(name=name, folder=path, bundles=tuple(bundles), permission=permission)
        for name, path, (bundles, permission) in zip(_names(paths), paths, teams, strict=True)
    )
    for run in runs[1:]:
        for what, ours in runs[0].common.items():
            if what in OF_MESSAGES and not alike:
                continue
            theirs = run.common[what]
            if ours != theirs:
                raise BundleMismatch(
                    f"{what}: {runs[0].folder} has {ours}, {run.folder} has {theirs}",
                    remedy="Runs of one sweep are seeds of one training; measure others on their own, or teams of "
                    "several trainings in one world with --sweep teams",
                )
    return runs


def _names(paths: Sequence[Path]) -> list[str]:
    """A folder's own name, with a number before it where several have the same."""
    names = [(path.resolve().parent if path.resolve().name == "bundles" else path.resolve()).name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{place}-{name}" for place, name in enumerate(names)]
