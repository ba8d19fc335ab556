"""What to try next, by Optuna's tree-structured Parzen estimator.

The study is made anew from the trials that are kept, and its random numbers follow from the seed and their count: so
what is proposed depends on nothing else, wherever and whenever the tuning goes on, and no file of Optuna's is read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.campaign.settings import ParameterRange, TunePlan
from analysis.campaign.tuning.trials import Trial, TrialState
from heliograph.extras import extra

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

AT_RANDOM = 8
"""Trials before the estimator takes over."""


def proposed(plan: TunePlan, trials: Sequence[Trial]) -> Trial:
    """The next trial after these.  Raises MissingExtra without Optuna."""
    with extra("tune", packages={"optuna"}, purpose="tuning"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").propagate = False
    states = {
        TrialState.SCORED: optuna.trial.TrialState.COMPLETE,
        TrialState.DIVERGED: optuna.trial.TrialState.FAIL,
        TrialState.OPEN: optuna.trial.TrialState.RUNNING,
    }
    ranges = {name: _distribution(range_) for name, range_ in plan.parameters.items()}
    sampler = optuna.samplers.TPESampler(
        seed=(plan.seed * 100_003 + len(trials)) % 2**32,
        n_startup_trials=min(AT_RANDOM, max(1, plan.trials // 2)),
        constant_liar=True,  # those that are open count as bad, so that no two side by side are alike
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=states[trial.state], params=dict(trial.values), distributions=ranges, value=trial.score
            )
        )
    return Trial(number=len(trials), values=_plain(plan, study.ask(ranges).params))


def _distribution(given: ParameterRange) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if given.choices is not None:
        return CategoricalDistribution(given.choices)
    if isinstance(given.low, int) and isinstance(given.high, int):
        return IntDistribution(given.low, given.high, log=given.log)
    assert given.low is not None
    assert given.high is not None
    return FloatDistribution(given.low, given.high, log=given.log)


def _plain(plan: TunePlan, values: Mapping[str, Any]) -> dict[str, Any]:
    """Floats to six digits, which is all that a setting needs and a file shows, unless they are no value then."""
    short = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
    return {name: short[name] if plan.parameters[name].takes(short[name]) else value for name, value in values.items()}
