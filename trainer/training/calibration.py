"""Imagined beside real futures of the same states: whether imagination pays what the world pays, and lasts as long.

Starts are drawn from the newest rows of replay.  The world's side is what the episodes went on to earn there, at the
hands of the policies that collected them, sampled; the other is one rollout of the policy as it is now, and one more
with the actions that were really taken.  A policy may have learned what pays in imagination alone, which the first
hides; the second is the model's own.  All count the same transitions in the same way: as many as the policy learns
from, rewards shared as it shares them, each agent's until its own end, discounted, with nothing of the critic.

Axis legend: T rows, H transitions, M starts, N agents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.batch import Batch
from trainer.experience.replay import Replay
from trainer.policy.draws import RandomDraws
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import discounted_return, survival

STARTS = 256
"""Of one measurement."""
NEWEST = 2000
"""Rows among which starts are drawn, over all copies: the policies that collected them are nearly that of now."""
GROUPS = 5
"""Of starts by what is imagined for them, of which each has a mean of either side."""


@dataclass(frozen=True, kw_only=True)
class Futures:
    """Of starts: each a mean over the agents that had a future there."""

    earned: npt.NDArray[np.float64]
    """[M]: the discounted return over the horizon."""
    length: npt.NDArray[np.float64]
    """[M]: transitions until the end, of at most the horizon."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    imagined: Futures
    """With the actions of the policy as it is now."""
    replayed: Futures
    """Imagined with the actions that were really taken."""
    real: Futures
    age_steps: float
    """Environment steps since the starts were collected, on average."""

    def metrics(self) -> dict[str, float]:
        """For the record of an evaluation."""
        imagined, replayed, real = self.imagined, self.replayed, self.real
        found = {
            "imagination/imagined_return": float(imagined.earned.mean()),
            "imagination/real_return": float(real.earned.mean()),
            "imagination/imagined_length": float(imagined.length.mean()),
            "imagination/real_length": float(real.length.mean()),
            "imagination/replayed_return": float(replayed.earned.mean()),
            "imagination/replayed_length": float(replayed.length.mean()),
            "imagination/age_steps": self.age_steps,
            "imagination/starts": float(len(real.earned)),
        }
        if len(real.earned) > 1:
            found["imagination/return_error"] = _standard_error(imagined.earned - real.earned)
            found["imagination/replayed_return_error"] = _standard_error(replayed.earned - real.earned)
            found["imagination/real_return_deviation"] = float(real.earned.std())
        for name, futures in (("return_correlation", imagined), ("replayed_correlation", replayed)):
            if futures.earned.std() > 0 and real.earned.std() > 0:
                found[f"imagination/{name}"] = float(np.corrcoef(futures.earned, real.earned)[0, 1])
        for group, (promised, came) in enumerate(self.groups(), start=1):
            found |= {f"imagination/imagined_return_{group}": promised, f"imagination/real_return_{group}": came}
        return found

    def groups(self) -> list[tuple[float, float]]:
        """Means of the imagined and of the real return, of starts from those that promise least to those that promise
        most."""
        order = np.argsort(self.imagined.earned, kind="stable")
        parts = np.array_split(order, min(GROUPS, len(order)))
        return [(float(self.imagined.earned[part].mean()), float(self.real.earned[part].mean())) for part in parts]


def calibration_metrics(
    algorithm: object, replay: Replay, *, seed: tuple[int, ...], device: torch.device
) -> dict[str, float]:
    """What `calibrate` finds, for a record; nothing where an algorithm does not imagine."""
    if not isinstance(algorithm, ImaginingAlgorithm):
        return {}
    found = calibrate(algorithm, replay, seed=seed, device=device)
    return {} if found is None else found.metrics()


def calibrate(
    algorithm: ImaginingAlgorithm, replay: Replay, *, seed: tuple[int, ...], device: torch.device
) -> Calibration | None:
    """Measure it, with draws of its own that follow from `seed`; None where nothing can be started from, or learned
    from what is imagined."""
    if not algorithm.model_is_ready():
        return None
    horizon, before = algorithm.learning.horizon, algorithm.leading_rows(replay.settings.window)
    random = np.random.default_rng(seed)
    batch = replay.futures(random, batch=STARTS, before=before, after=horizon, newest=NEWEST)
    if batch is None:
        return None
    seen, done = led_up_to(batch, before).to(device), taken(batch, before).to(device)
    alive = ~batch.window.terminated[before] & batch.window.present[before]
    settings = algorithm.learning

    def imagined(actions: Tensor | None) -> Futures:
        draws = RandomDraws(torch.Generator(device).manual_seed(int(random.integers(2**63))))
        rollout = algorithm.imagine_after(seen, draws, horizon=horizon, actions=actions)
        return _futures(rollout.reward.cpu(), rollout.continuation.cpu(), alive, settings)

    # The policy's first: its draws are those that runs had when there were no others.
    own, replayed = imagined(None), imagined(done)
    reward, goes_on = real_futures(batch, before)
    return Calibration(
        imagined=own,
        replayed=replayed,
        real=_futures(reward, goes_on, alive, settings),
        age_steps=float(batch.age.double().mean()),
    )


def led_up_to(batch: Batch, before: int) -> Batch:
    """What was seen of windows up to their starts, which have `before` rows before them."""
    rows = slice(0, before + 1)
    return Batch(
        window=batch.window.each(lambda tensor: tensor[rows]),
        index=batch.index.at(rows),
        weight=batch.weight,
        inside=batch.inside[rows],
        age=batch.age,
    )


def taken(batch: Batch, before: int) -> Tensor:
    """Actions [H, M, N, ...] that were done after the starts; where the episode was over, the last ones again."""
    return batch.window.action[before + 1 :]


def real_futures(batch: Batch, before: int) -> tuple[Tensor, Tensor]:
    """Rewards [H, M, N] after the starts, and 1 where an agent's future went on, 0 where it had ended."""
    window = batch.window
    return window.reward[before + 1 :], (~window.terminated[before + 1 :]).to(window.reward.dtype)


def _futures(reward: Tensor, continuation: Tensor, alive: Tensor, settings: PolicySettings) -> Futures:
    """Of rewards and continuations [H, M, N], over agents that are alive at the starts, bool [M, N]."""
    if settings.reward_sharing == "team":
        reward = reward.mean(-1, keepdim=True).expand_as(reward)
    earned = discounted_return(reward.double(), continuation.double(), discount=settings.discount)
    length = survival(continuation.double()).sum(0)
    count = alive.sum(-1)

    def over_agents(values: Tensor) -> npt.NDArray[np.float64]:
        means: npt.NDArray[np.float64] = ((values * alive).sum(-1) / count).numpy()
        return means

    return Futures(earned=over_agents(earned), length=over_agents(length))


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    """Of the mean of several values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
