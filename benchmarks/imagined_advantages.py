"""What imagination would teach an actor: advantages of the actions that were really taken, really and imagined.

    python benchmarks/imagined_advantages.py RUN RUN ... [--starts 600] [--newest 2500] [--horizons 1 2 5] [--seed 0]

For each horizon, over the agents that are alive at a start: an advantage is the lambda-return over so many steps, with
the critic's value of where they end, less the critic's value of where they begin.  The world's is of the states that
came, the other of the states that the model imagines with the same actions, by the same critic.  Beside how the two
correlate stands how the returns do, which hold what a state is worth whatever is done in it; how two imaginations of
the same actions do; and the deviations of the advantages.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dream_error import Model, load
from rich.table import Table
from torch import Tensor

from heliograph.display import console
from trainer.algorithms.imagination_learner import ImaginationLearner
from trainer.policy.draws import RandomDraws
from trainer.policy.returns import lambda_returns
from trainer.training.calibration import led_up_to, real_futures, taken
from trainer.training.restored import restored_replay


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """Of one horizon; correlations over starts and agents."""

    advantages: float
    returns: float
    two_imaginations: float
    real_deviation: float
    imagined_deviation: float
    starts: int


@torch.no_grad()
def measure(model: Model, *, starts: int, newest: int, horizon: int, seed: int) -> Advantages:
    """Of the newest checkpoint of a run."""
    algorithm, before = model.algorithm, model.before
    if not isinstance(algorithm, ImaginationLearner):
        raise SystemExit(f"{model.label} has no actor and critic that learn in imagination")
    replay = restored_replay(model.folder, algorithm)
    batch = replay.futures(np.random.default_rng(seed), batch=starts, before=before, after=horizon, newest=newest)
    if batch is None:
        raise SystemExit(f"{model.label}: no episode of its replay went on for {horizon} steps")
    alive = ~batch.window.terminated[before] & batch.window.present[before]

    def judged(reward: Tensor, goes_on: Tensor, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return and advantage of the first of these states [S, M, N], for those who are alive."""
        states, count = features[0].shape[:2]
        value = algorithm.value(*(each.flatten(0, 1) for each in features)).unflatten(0, (states, count))
        settings = algorithm.learning
        returns = lambda_returns(reward, goes_on, value, discount=settings.discount, trace=settings.trace)[0]
        return returns[alive], (returns - value[0])[alive]

    def imagined(draw: int) -> tuple[Tensor, Tensor]:
        rollout = algorithm.imagine_after(
            led_up_to(batch, before),
            RandomDraws(torch.Generator().manual_seed(draw)),
            horizon=horizon,
            actions=taken(batch, before),
        )
        return judged(rollout.reward, rollout.continuation, rollout.features)

    rows = slice(before, before + horizon + 1)
    came = judged(*real_futures(batch, before), tuple(each[rows] for each in algorithm.features(batch.window)))
    one, other = imagined(seed), imagined(seed + 1)
    return Advantages(
        advantages=_correlation(came[1], one[1]),
        returns=_correlation(came[0], one[0]),
        two_imaginations=_correlation(one[1], other[1]),
        real_deviation=float(came[1].std()),
        imagined_deviation=float(one[1].std()),
        starts=batch.window.first.shape[1],
    )


def _correlation(one: Tensor, other: Tensor) -> float:
    return float(np.corrcoef(one.numpy(), other.numpy())[0, 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--starts", type=int, default=600, help="states, of the newest of each replay")
    parser.add_argument("--newest", type=int, default=2500, help="rows of replay that are drawn from")
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 2, 5], help="steps")
    parser.add_argument("--seed", type=int, default=0)
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("run", "steps", "advantages", "returns", "two imaginations", "deviation, real", "imagined")
    for path in namespace.runs:
        (model,) = load([path])
        for horizon in namespace.horizons:
            found = measure(
                model, starts=namespace.starts, newest=namespace.newest, horizon=horizon, seed=namespace.seed
            )
            figures = (found.advantages, found.returns, found.two_imaginations)
            deviations = (found.real_deviation, found.imagined_deviation)
            shown = (*(f"{each:.2f}" for each in figures), *(f"{each:.3f}" for each in deviations))
            table.add_row(model.label, str(horizon), *shown)
    console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
