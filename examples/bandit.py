"""Behaviour cloning against AWPO on a bandit, in closed form: appendix B.4 and figure 1 of MAZero's paper.

A search that samples B actions from the policy and keeps the best of them is imitated, either as it is (BC) or weighted
by exp(advantage / alpha) (AWPO, advantage-weighted policy optimisation).  Both losses are expectations over everything
that could be sampled, so nothing here is random but the start.

    python examples/bandit.py                       # the table; seconds, numpy alone
    python examples/bandit.py --plot bandit.png     # the curves as well (matplotlib)

Where the paper's formulas cannot be meant as printed, this is what is computed:
- P(the best of B draws is a) = c(a)^B - c(a - 1)^B, with c the cumulative policy; printed are two equal sums.
- The second loss, with the weights, is AWPO's; it is printed under the name of the first.  The exponent is B.
- The advantage is divided by the deviation with n - 1: sqrt(3 / 2525) for 100 values.
The paper does not say how the losses are minimised.  Here: by gradient descent and by Adam, each with several step
sizes, and for AWPO also with weights scaled to mean 1 under the target.  Those keep its direction and take away what is
a mere larger step: what then remains of its lead is due to the direction.

Axis legend: S starts, A actions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ACTIONS, SAMPLES, ALPHA = 100, 2, 1.0
"""Values 0 .. 99, B and alpha of the paper."""
STARTS, UPDATES = 20, 5_000
GOOD = 0.95 * (ACTIONS - 1)
"""Expected value that counts as learned."""


def policy(logits: Floats) -> Floats:
    """[S, A]: softmax."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def best_of(probabilities: Floats, samples: int = SAMPLES) -> Floats:
    """[S, A]: how likely the best of so many draws with replacement is a; values grow with a."""
    cumulative = np.cumsum(probabilities, axis=-1) ** samples
    return np.diff(cumulative, axis=-1, prepend=0.0)


def advantage(actions: int = ACTIONS) -> Floats:
    """[A]: values with mean 0 and deviation 1, by n - 1."""
    values = np.arange(actions, dtype=np.float64)
    return (values - values.mean()) / values.std(ddof=1)


def cloned(target: Floats) -> Floats:
    """BC: the weight of every action's logarithm, [S, A]."""
    return target


def advantage_weighted(target: Floats, *, alpha: float = ALPHA) -> Floats:
    """AWPO: likewise."""
    return target * np.exp(advantage(target.shape[-1]) / alpha)


def scaled_advantage_weighted(target: Floats) -> Floats:
    """AWPO whose weights sum to 1 as those of BC do: its direction without its larger step."""
    weights = advantage_weighted(target)
    return weights / weights.sum(-1, keepdims=True)


LOSSES: dict[str, Callable[[Floats], Floats]] = {
    "BC": cloned,
    "AWPO": advantage_weighted,
    "AWPO, weights scaled to mean 1": scaled_advantage_weighted,
}


def gradient(logits: Floats, weighing: Callable[[Floats], Floats]) -> Floats:
    """[S, A]: of -sum_a w(a) log pi(a) by the logits, w held constant."""
    probabilities = policy(logits)
    weights = weighing(best_of(probabilities))
    return probabilities * weights.sum(-1, keepdims=True) - weights


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    name: str
    step_size: float
    adam: bool = False


OPTIMISERS = (
    Optimiser(name="gradient descent", step_size=0.3),
    Optimiser(name="gradient descent", step_size=1.0),
    Optimiser(name="gradient descent", step_size=3.0),
    Optimiser(name="Adam", step_size=0.01, adam=True),
    Optimiser(name="Adam", step_size=0.1, adam=True),
)


def learned(weighing: Callable[[Floats], Floats], optimiser: Optimiser, *, starts: int, updates: int) -> Floats:
    """[updates + 1, S]: the policy's expected value before and after every update, from standard normal logits."""
    logits = np.random.default_rng(0).standard_normal((starts, ACTIONS))
    values = np.arange(ACTIONS)
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    history = [policy(logits) @ values]
    for update in range(1, updates + 1):
        slope = gradient(logits, weighing)
        if optimiser.adam:
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            slope = first / (1 - 0.9**update) / (np.sqrt(second / (1 - 0.999**update)) + 1e-8)
        logits = logits - optimiser.step_size * slope
        history.append(policy(logits) @ values)
    return np.stack(history)


def updates_until_good(history: Floats) -> float:
    """Median over starts of the first update whose policy is worth GOOD; infinite where most never are."""
    good = history >= GOOD
    return float(np.median(np.where(good.any(0), good.argmax(0), np.inf)))


def draw(path: Path, histories: dict[str, Floats], title: str) -> None:
    """The mean over starts of each history, and the range of all of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, history in histories.items():
        (line,) = axes.plot(history.mean(1), label=name)
        axes.fill_between(np.arange(len(history)), history.min(1), history.max(1), color=line.get_color(), alpha=0.2)
    axes.axhline(ACTIONS - 1, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="updates", ylabel="expected value", title=title)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Behaviour cloning against AWPO on a 100-armed bandit")
    parser.add_argument("--plot", type=Path, help="draw the curves of gradient descent with step size 1 to this file")
    parser.add_argument("--starts", type=int, default=STARTS, help="random starts, shared by all losses")
    parser.add_argument("--updates", type=int, default=UPDATES, help="updates from every start")
    asked = parser.parse_args()
    print(f"median updates until the expected value is {GOOD:g} of {ACTIONS - 1}; {asked.starts} starts")
    print(f"{'optimiser':18}{'step':>6}" + "".join(f"{name:>32}" for name in LOSSES))
    for optimiser in OPTIMISERS:
        histories = {
            name: learned(weighing, optimiser, starts=asked.starts, updates=asked.updates)
            for name, weighing in LOSSES.items()
        }
        counts = [updates_until_good(history) for history in histories.values()]
        print(f"{optimiser.name:18}{optimiser.step_size:6g}" + "".join(f"{count:32g}" for count in counts))
        if asked.plot is not None and optimiser == OPTIMISERS[1]:
            shown = {name: history[:301] for name, history in histories.items()}
            draw(asked.plot, shown, f"{optimiser.name}, step size {optimiser.step_size:g}: mean and range of starts")


if __name__ == "__main__":
    main()
