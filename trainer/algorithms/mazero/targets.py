"""What the model is taught: rewards, n-step values, and policies searched anew (MAZero §4.4 and appendix B).

Axis legend: U unrolled steps, V = U + 1 rows from which something is predicted, L rows from which an action is known,
B windows, K sampled joint actions, N agents, X what an agent sees, M rows that are searched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.mazero.found import Found, found_by, found_in
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.planning import PlanningModel, planned
from trainer.algorithms.mazero.settings import MazeroSettings, TargetSettings
from trainer.algorithms.mazero.windows import Steps
from trainer.ranks.group import ranks
from trainer.ranks.stopping_together import done_on_all
from trainer.search.draws import SearchDraws


@dataclass(frozen=True, kw_only=True)
class Targets:
    reward: Tensor
    """[U, B]: of step k."""
    value: Tensor
    """[V, B]."""
    policy: Found
    """[V, B, ...]: what a search found at row k; nothing is valid where no step follows."""
    advantage: Tensor
    """[V, B, K]; 0 where nothing is valid."""


def targets_of(steps: Steps, delayed: PlanningModel, settings: MazeroSettings, draws: SearchDraws) -> Targets:
    """Of all rows of a batch, with the delayed network.  Ranks are stopped in the searches together, or not at all."""
    policy = done_on_all(lambda: policy_targets(steps, delayed, settings, draws))
    return taught(steps, policy, delayed.model, settings)


def taught(steps: Steps, policy: Found, delayed: MazeroModel, settings: MazeroSettings) -> Targets:
    """The same, where the policy's targets [V, B, ...] are known."""
    return Targets(
        reward=steps.reward[: settings.unroll],
        value=value_targets(steps, delayed, settings),
        policy=policy,
        advantage=advantages(policy, normalised=settings.targets.advantage_normalisation),
    )


def horizons(age: Tensor, settings: TargetSettings) -> Tensor:
    """How many rewards the value targets of windows of these ages [B] add up: the staler the play, the fewer."""
    return (settings.steps - torch.floor(age / settings.stale_after)).clamp(1, settings.steps).long()


@torch.no_grad()
def value_targets(steps: Steps, delayed: MazeroModel, settings: MazeroSettings) -> Tensor:
    """[V, B]: discounted rewards over a horizon, then the delayed network's value, unless the team has no future there.

    A window has one horizon, by the age of its first row.
    """
    rows, horizon = settings.unroll + 1, horizons(steps.age, settings.targets)
    total = torch.zeros_like(steps.reward[:rows])
    factor = torch.ones_like(total)
    last = torch.arange(rows, device=total.device).unsqueeze(1).expand(total.shape).clone()  # [V, B]
    for ahead in range(settings.targets.steps):
        goes = steps.taken[ahead : ahead + rows] & (ahead < horizon)
        total += factor * steps.reward[ahead : ahead + rows] * goes
        factor = torch.where(goes, factor * settings.search.discount, factor)
        last += goes
    each = torch.arange(total.shape[1], device=total.device)
    future = ~steps.over[last, each]
    values = delayed.values(delayed.represent(steps.seen[last, each].flatten(0, 1))).unflatten(0, total.shape)
    return torch.where(future, total + factor * values, total)


def advantages(found: Found, *, normalised: bool) -> Tensor:
    """[..., K]: how much more the search thinks of a joint action than the model does of the root; over all valid ones
    of all ranks with mean 0 and deviation 1 if `normalised`."""
    raw = found.q - found.prediction.unsqueeze(-1)
    if normalised and ranks().any(bool(found.valid.any())):
        mean, deviation = _moments(raw[found.valid])
        raw = (raw - mean) / (deviation + 1e-5)
    return torch.where(found.valid, raw, 0.0)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the values [...] of all ranks, scalars; this one may have none."""
    if ranks().count == 1:
        return values.mean(), values.std(correction=0)
    count = values.new_tensor(float(values.numel()))
    mean = ranks().weighted_mean(values.sum() / count.clamp(min=1), count)[0]
    variance = ranks().weighted_mean((values - mean).square().sum() / count.clamp(min=1), count)[0]
    return mean, variance.sqrt()


def policy_targets(steps: Steps, delayed: PlanningModel, settings: MazeroSettings, draws: SearchDraws) -> Found:
    """What searches found, [V, B, ...]: anew for a share of the windows, for the others when they were played."""
    windows, at = rows_to_search(steps, settings)
    if not len(windows):
        return merged(steps, None, settings)
    root = delayed.root(steps.seen[at, windows], steps.legal[at, windows])
    searched = planned(delayed, root, settings.search, draws, noise=True)
    return merged(steps, found_by(searched.result(), settings.search), settings)


def rows_to_search(steps: Steps, settings: MazeroSettings) -> tuple[Tensor, Tensor]:
    """Windows and rows, int64 [M] each, whose policies are searched anew."""
    taken = steps.taken[: settings.unroll + 1]
    count = round(settings.targets.reanalyse * taken.shape[1])
    # Window after window: their rows lie next to one another, as released.
    windows, at = taken[:, :count].t().nonzero(as_tuple=True)
    return windows, at


def merged(steps: Steps, anew: Found | None, settings: MazeroSettings) -> Found:
    """What was found anew at the rows to search, [M, ...], and what was found at the others when they were played."""
    rows = settings.unroll + 1
    stored = found_in({name: column[:rows] for name, column in steps.found.items()})
    found = {
        name: value.to(steps.seen.dtype) if value.is_floating_point() else value for name, value in vars(stored).items()
    }
    found["valid"] = found["valid"] & steps.taken[:rows].unsqueeze(-1)
    if anew is not None:
        windows, at = rows_to_search(steps, settings)
        for name, values in vars(anew).items():
            found[name][at, windows] = values
    return Found(**found)
