"""The trainer's networks on the same agent inputs and messages: they must decide as the bundles do, up to rounding."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.audit.answers import Answers
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED, Check
from analysis.audit.input_sequence import InputSequence
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
    path: Path, plan: Plan, replays: list[tuple[InputSequence, Answers]], permission: Permission = CATALOGUE_ONLY
) -> Check:
    """Compare replays in the world's own graph, which hold their logits, with the networks of the run at `path`.

    `permission` is that to make the world which the run's settings name.
    """
    folder = run_folder_of(path)
    if folder is None:
        return _unchecked(f"{path} is not in a run folder, which would have the networks")
    if not replays:
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
    return _compare(team, plan, replays)


def _compare(team: CentralTeam, plan: Plan, replays: list[tuple[InputSequence, Answers]]) -> Check:
    decisions = categoricals = ties = 0
    largest = 0.0
    for sequence, answered in replays:
        found = team.replay(
            run_seed=plan.run_seed,
            greedy=plan.greedy,
            episode=answered.episode,
            observation=sequence.observation,
            action_mask=sequence.action_mask,
            present=sequence.present,
            hears=answered.hears,
            latent=answered.latent,
            action=answered.action,
        )
        same = sequence.present.copy()  # [T, N]
        if answered.latent is not None and found.latent is not None:
            different = (found.latent != answered.latent) & sequence.present[..., None]
            ties += int(different.sum())
            categoricals += int(sequence.present.sum()) * answered.latent.shape[2]
            same &= ~different.any(axis=2)
        assert answered.logits is not None
        counts = plan.rows.counting_outputs(sequence.action_mask)
        apart = np.where(counts, np.abs(found.logits - answered.logits), 0.0).max(axis=2)
        largest = max(largest, float(apart[same].max(initial=0.0)))
        decisions += int(same.sum())
        otherwise = found.action != answered.action
        for step, slot in np.argwhere(same & (otherwise.any(axis=2) if otherwise.ndim == 3 else otherwise)):
            if not tied(plan, slot, found.logits[step, slot], found.action[step, slot], answered.action[step, slot]):
                return _refuted(
                    f"agent {slot} takes action {answered.action[step, slot]} at step {step} "
                    f"of script run {answered.episode}, the networks {found.action[step, slot]}"
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
