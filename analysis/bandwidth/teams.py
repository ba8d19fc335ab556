"""Teams that were trained at several budgets, side by side: `--sweep teams`.

Run folders that differ in their seed alone are one team; its score is over them.  Every team is run as it is, and with
every message masked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.bandwidth.grid import BLIND, CLEAR, CODEC, Grid, Point, Setting, check_link, make_grid, parse_axis
from analysis.bandwidth.runs import PlanFactory, Run
from coordinator.channel import Channel
from coordinator.plan.settings import TRAINED, late_policy_of
from coordinator.scoring.training_settings import training_settings
from heliograph import codecs
from heliograph.codecs.registry import BIT_PACKED
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.manifest import Manifest

TEAMS = "teams"
"""The axis."""


@dataclass(frozen=True, kw_only=True)
class TrainedTeam:
    """Runs of one training with several seeds."""

    label: str
    runs: tuple[Run, ...]


def grid_of(axes: Sequence[str], *, plans: PlanFactory, spec: EnvironmentSpec) -> Grid:
    """The grid of `--sweep` arguments for these runs, with the channel and the late policy of the settings.

    Raises SettingsError for what cannot be run.
    """
    runs, settings = plans.runs, plans.settings
    channel = settings.channel
    if TEAMS not in axes:
        first = runs[0]
        return make_grid(
            axes,
            manifest=first.manifest,
            tables=first.bundles[0].tables,
            spec=spec,
            channel=channel,
            late=late_policy_of(first.manifest, settings.late_policy),
        )
    chosen: tuple[str, ...] = (BIT_PACKED,)
    for text in axes:
        axis, values = ("", ()) if text == TEAMS else parse_axis(text)
        if axis == CODEC:
            chosen = values
        elif axis:
            raise SettingsError(
                f"--sweep teams runs every team as it is, not with {text}", remedy="Sweep other axes of one team"
            )
    (channel or Channel()).check_world(spec)
    policies = {late_policy_of(run.manifest, settings.late_policy) for run in runs}
    late = policies.pop() if len(policies) == 1 else TRAINED
    base = str(channel or Channel())
    points = [Point(axis=CLEAR, value="", setting=Setting(channel=base, codec=codec, late=late)) for codec in chosen]
    for run in runs:
        if (message := run.manifest.message) is not None:
            for point in points:
                check_link(point.setting, spec, codecs.make(point.setting.codec, message, run.bundles[0].tables))
    return Grid(points=(*points, Point(axis=BLIND, value="", setting=Setting(links="cut", late=late))), by_team=True)


def trained_teams(runs: Sequence[Run]) -> tuple[TrainedTeam, ...]:
    """The runs, those together that differ in their seed alone, in the order of the first of each.

    Raises SettingsError for settings of a run that cannot be read.
    """
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(_training(run), []).append(run)
    labels = [label_of(members[0].manifest) for members in grouped.values()]
    several = {label for label, count in Counter(labels).items() if count > 1}
    return tuple(
        TrainedTeam(label=f"{label} ({members[0].name})" if label in several else label, runs=tuple(members))
        for label, members in zip(labels, grouped.values(), strict=True)
    )


def label_of(manifest: Manifest) -> str:
    """What a team is called: its algorithm, its messages, and when they are sent."""
    message = manifest.message
    if message is None:
        return f"{manifest.algorithm}, no messages"
    classes = f"{message.classes - 1}, says first ids" if message.prefix else str(message.classes)
    withheld = "" if manifest.sending is None else ", withholds"
    return f"{manifest.algorithm}, {message.categoricals} x {classes}{withheld}"


def _training(run: Run) -> str:
    """What runs of one training have in common, as text; without settings, what their bundles tell of it."""
    folder = run.folder.parent if run.folder.name == "bundles" else run.folder
    settings = training_settings(folder) or {}
    apart = {name: value for name, value in settings.items() if name != "seed"}
    return f"{label_of(run.manifest)} {json.dumps(apart, sort_keys=True)}"
