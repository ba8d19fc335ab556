"""Where imagination loses its reward: what is earned by step after states of a run's replay, really and imagined.

    python benchmarks/dream_rewards.py RUN RUN ... [--starts 1000] [--newest 2500] [--horizon H] [--seed 0]

Four rows for each run, means over the agents that are alive at the start, until their end:

    world                        what these episodes went on to earn
    predicted from real states   one step ahead of each state and action that came: the reward head alone
    imagined, real actions       from the model's own states, with the actions that were taken: its dynamics, too
    imagined, own actions        and with the policy's, which is what that learns from

`unknown` is a step beyond the windows that the model learns from.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dream_error import Model, load
from torch import Tensor

from heliograph.display import console
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.batch import Batch
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.survival import survival
from trainer.training.calibration import led_up_to, real_futures, taken
from trainer.training.restored import restored_replay

UNKNOWN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Earned:
    """By step, [H] each; nan where it is not known."""

    world: np.ndarray
    predicted: np.ndarray
    replayed: np.ndarray
    imagined: np.ndarray
    starts: int

    def rows(self) -> dict[str, np.ndarray]:
        return {
            "world": self.world,
            "predicted from real states": self.predicted,
            "imagined, real actions": self.replayed,
            "imagined, own actions": self.imagined,
        }


def measure(model: Model, *, starts: int, newest: int, horizon: int | None, seed: int) -> Earned:
    """Of the newest checkpoint of a run."""
    algorithm, replay = model.algorithm, restored_replay(model.folder, model.algorithm)
    before, steps = model.before, horizon or algorithm.learning.horizon
    batch = replay.futures(np.random.default_rng(seed), batch=starts, before=before, after=steps, newest=newest)
    if batch is None:
        raise SystemExit(f"{model.label}: no episode of its replay went on for {steps} steps")
    alive = ~batch.window.terminated[before] & batch.window.present[before]
    reward, goes_on = real_futures(batch, before)
    seen = led_up_to(batch, before)

    def rollout(actions: Tensor | None) -> ImaginedRollout:
        draws = RandomDraws(torch.Generator().manual_seed(seed))
        return algorithm.imagine_after(seen, draws, horizon=steps, actions=actions)

    replayed, imagined = rollout(taken(batch, before)), rollout(None)
    return Earned(
        world=_by_step(reward, goes_on, alive),
        predicted=_by_step(
            _predicted(algorithm, batch, before, window=replay.settings.window, seed=seed), goes_on, alive
        ),
        replayed=_by_step(replayed.reward, replayed.continuation, alive),
        imagined=_by_step(imagined.reward, imagined.continuation, alive),
        starts=reward.shape[1],
    )


def _predicted(algorithm: ImaginingAlgorithm, batch: Batch, before: int, *, window: int, seed: int) -> Tensor:
    """Rewards [H, M, N] of the real states and actions, nan where the model has not seen what it reads."""
    rows = slice(before, before + window)
    said = algorithm.predict(
        batch.window.each(lambda each: each[rows]), RandomDraws(torch.Generator().manual_seed(seed))
    )
    steps, starts, agents = batch.window.reward[before + 1 :].shape
    found = torch.full((steps, starts, agents), UNKNOWN)
    if said is not None:
        known = min(steps, len(said.reward))
        found[:known] = said.reward[:known].masked_fill(~said.known[:known, :, None], UNKNOWN)
    return found


def _by_step(reward: Tensor, goes_on: Tensor, alive: Tensor) -> np.ndarray:
    """Mean reward of those who were alive at the start, each until its end, from [H, M, N]."""
    survived = survival(goes_on)
    # What is not known after an end is nothing; what is not known before it is left out.
    earned = torch.where(survived == 0, torch.zeros_like(reward), reward * survived)
    means: np.ndarray = earned[:, alive].nanmean(1).numpy()
    return means


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--starts", type=int, default=1000, help="states, of the newest of each replay")
    parser.add_argument("--newest", type=int, default=2500, help="rows of replay that are drawn from")
    parser.add_argument("--horizon", type=int, help="steps (default: as many as the policy learns from)")
    parser.add_argument("--seed", type=int, default=0)
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    output = console()
    for path in namespace.runs:
        (model,) = load([path])
        found = measure(
            model, starts=namespace.starts, newest=namespace.newest, horizon=namespace.horizon, seed=namespace.seed
        )
        output.print(f"{model.label}, {found.starts} states: reward of an agent by step, and in all")
        for name, values in found.rows().items():
            shown = "  ".join("unknown" if np.isnan(value) else f"{value:7.4f}" for value in values)
            total = "unknown" if np.isnan(values).any() else f"{values.sum():7.4f}"
            output.print(f"  {name:28}{shown}  | {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
