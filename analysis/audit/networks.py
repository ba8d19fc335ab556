"""The trainer's networks on the same percepts and messages: they must decide as the bundles do, up to rounding."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.audit.answers import Answers
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED, Check
from analysis.audit.script import Script
from coordinator.plan.plan import Plan
from coordinator.scoring.centralised import CentralTeam, central_team
from heliograph.actions import ContinuousActions
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.errors import HeliographError

RecordedAction = np.int64 | npt.NDArray[np.float32]
"""One agent's at one step: a number, or float32 [k]."""

NAME = "trainer's networks"

LOGIT_TOLERANCE = 1e-4

TIES = 1e-3
"""The share of categoricals that may differ: where two classes are equally likely, rounding decides."""


def run_folder_of(path: Path) -> Path | None:
    """The run folder that bundles lie in, if they lie in one."""
    return next((folder for folder in (path, path.parent) if (folder / "settings.json").is_file()), None)


def check_networks(
    path: Path, plan: Plan, plays: list[tuple[Script, Answers]], permission: Permission = CATALOGUE_ONLY
) -> Check:
    """Compare plays in the world's own graph, which hold their logits, with the networks of the run at `path`.

    `permission` is that to make the world which the run's settings name.
    """
    folder = run_folder_of(path)
    if folder is None:
        return _unchecked(f"{path} is not in a run folder, which would have the networks")
    if not plays:
        return _unchecked("interrupted before")
    try:
        team = central_team(folder, permission)
    except HeliographError as error:
        return _unchecked(str(error))
    if (team.run_id, team.newest) != (plan.manifest.run_id, plan.manifest.training_step):
        return _unchecked(
            f"bundles are of run {plan.manifest.run_id} at step {plan.manifest.training_step}, "
            f"the newest networks of run {team.run_id} at {team.newest}"
        )
    return _compare(team, plan, plays)


def _compare(team: CentralTeam, plan: Plan, plays: list[tuple[Script, Answers]]) -> Check:
    decisions = categoricals = ties = 0
    largest = 0.0
    for script, played in plays:
        found = team.replay(
            run_seed=plan.run_seed,
            greedy=plan.greedy,
            episode=played.episode,
            observation=script.observation,
            action_mask=script.action_mask,
            present=script.present,
            hears=played.hears,
            latent=played.latent,
            action=played.action,
        )
        same = script.present.copy()  # [T, N]
        if played.latent is not None and found.latent is not None:
            different = (found.latent != played.latent) & script.present[..., None]
            ties += int(different.sum())
            categoricals += int(script.present.sum()) * played.latent.shape[2]
            same &= ~different.any(axis=2)
        assert played.logits is not None
        counts = plan.rows.counting_outputs(script.action_mask)
        apart = np.where(counts, np.abs(found.logits - played.logits), 0.0).max(axis=2)
        largest = max(largest, float(apart[same].max(initial=0.0)))
        decisions += int(same.sum())
        otherwise = found.action != played.action
        for step, slot in np.argwhere(same & (otherwise.any(axis=2) if otherwise.ndim == 3 else otherwise)):
            if not tied(plan, slot, found.logits[step, slot], found.action[step, slot], played.action[step, slot]):
                return _refuted(
                    f"agent {slot} takes action {played.action[step, slot]} at step {step} "
                    f"of script run {played.episode}, the networks {found.action[step, slot]}"
                )
    said = f"{decisions} decisions, logits at most {largest:.1e} apart, {ties} of {categoricals} categoricals differ"
    if largest > LOGIT_TOLERANCE or math.isnan(largest) or ties > TIES * categoricals:
        return _refuted(said)
    return Check(name=NAME, verdict=HOLDS, said=said)


def tied(plan: Plan, slot: int, logits: npt.NDArray[np.float32], one: RecordedAction, other: RecordedAction) -> bool:
    """Whether rounding may decide between two actions of an agent, given as they are recorded: of numbered ones, logits
    that are closer than the tolerance; of continuous ones, levels next to one another, as what is rounded may lie
    between them."""
    rows = plan.rows
    space, mine, theirs = rows.spaces[slot], *(rows.action(slot, np.asarray(action)) for action in (one, other))
    if isinstance(space, ContinuousActions):
        return int(np.abs(space.numbers(np.asarray(mine)) - space.numbers(np.asarray(theirs))).max()) <= 1
    own = logits[rows.own_outputs(slot)]
    return plan.greedy and abs(float(own[mine] - own[theirs])) <= 2 * LOGIT_TOLERANCE


def _refuted(said: str) -> Check:
    return Check(name=NAME, verdict=REFUTED, said=said)


def _unchecked(said: str) -> Check:
    return Check(name=NAME, verdict=NOT_CHECKED, said=said)
