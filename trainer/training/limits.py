"""What limits a run of a world model: one sentence, by rules that are all here (`docs/concepts/dream.md`).

The rules are asked in the order in which one thing depends on another: a policy cannot learn from a model that knows no
rewards, and it does not help to explore more in an imagination that pays what the world does not.  What is imagined
with the actions that were really taken is the model's alone, and is asked for first: with actions of its own, a policy
that has learned what pays in imagination alone hides what the model gets wrong.  The first that holds is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.figures import SHARES

LEAST_R2 = 0.3
"""Below it the reward head limits."""
LONGER = 1.2
"""Imagination lasts too long, or ends too soon, by this factor."""
PAYS = 0.25
"""Imagination pays too much or too little by this share of what the world pays, or of its spread where that is more."""
SURE = 2.0
"""Standard errors of the difference that it must be beyond, too."""
SURPRISE = ("model/kl", "model/kl_agent", "model/kl_global", "model/observation")
"""Metrics of how a model is surprised by next states, of which each has its own; the last is MARIE's."""
AFTER_END = 0.5
"""Share of imagined rows after the predicted end."""
LEAST_PERPLEXITY = 2.0
"""Of a tokenizer's codebook; below it is not even one bit."""
DECIDED, UNDECIDED = 0.05, 0.95
"""Shares of the largest entropy below and above which a policy tries nothing, or knows nothing."""
SOLVED = 0.95
"""Of an outcome that is a share."""
_LATE = 0.9
"""Share of the run after which its figures are those of its end."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    by: str
    """Which rule, by its name in `RULES`; "none" if none holds."""
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the end of a run: means over its last tenth, or the newest where there is none; what is unknown is None."""

    values: Mapping[str, float]
    outcome: str
    """What the outcome of the run's world is."""
    most_entropy: float | None
    """Nats of a policy that knows nothing; None for continuous actions."""

    def __getitem__(self, name: str) -> float | None:
        return self.values.get(name)


def limit_of(history: Iterable[Mapping[str, Any]], *, outcome: str, most_entropy: float | None) -> Limit:
    """What limits the run with these records, whose world's outcome and policy's largest entropy are given."""
    figures = Figures(values=_at_the_end(list(history)), outcome=outcome, most_entropy=most_entropy)
    for name, rule in RULES.items():
        if (sentence := rule(figures)) is not None:
            return Limit(by=name, sentence=sentence)
    return Limit(by="none", sentence=f"None of what is measured limits this run: {_all_well(figures)}.")


def _at_the_end(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    late = _LATE * max((record["env_steps"] for record in records), default=0)
    newest: dict[str, float] = {}
    lately: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.items():
            if "/" in name:
                newest[name] = value
                if record["env_steps"] >= late:
                    lately.setdefault(name, []).append(value)
    return newest | {name: sum(values) / len(values) for name, values in lately.items()}


def _too_short(figures: Figures) -> str | None:
    if figures["held_out/transitions"] is None:
        return "The run's length limits it: it ended before its model had predicted anything."
    return None


def _solved(figures: Figures) -> str | None:
    outcome = figures["evaluate/greedy_outcome"]
    if figures.outcome in SHARES and outcome is not None and outcome >= SOLVED:
        return f"Nothing limits this run: the team's outcome ({figures.outcome}) is {outcome:.2f}."
    return None


def _tokens(figures: Figures) -> str | None:
    perplexity = figures["tokenizer/perplexity"]
    if perplexity is None or perplexity >= LEAST_PERPLEXITY:
        return None
    return (
        f"The tokenizer limits this run: its codebook has a perplexity of {perplexity:.2f}, less than one bit, so "
        "observations look alike: a smaller learning rate of the tokenizer, or another discretisation."
    )


def _no_reward(figures: Figures) -> str | None:
    if figures["held_out/reward_r2"] is not None:
        return None
    return (
        "Exploration limits this run: no held-out reward has differed from another, so there is nothing to learn of "
        "them: more entropy at first, or a world that rewards more steps."
    )


def _reward_head(figures: Figures) -> str | None:
    r2 = figures["held_out/reward_r2"]
    if r2 is None or r2 >= LEAST_R2:
        return None
    return (
        f"The model limits this run: the reward head explains {max(r2, 0.0):.0%} of held-out rewards (R² {r2:.2f}), so "
        "the policy learns from noise: more environment steps if it still grows (learning_curve.png), more model "
        "updates per step, or more weight of the reward's loss."
    )


def _dynamics(figures: Figures) -> str | None:
    if not _pays_otherwise(figures, "replayed_return", error="replayed_return_error"):
        return None
    if _lasts_otherwise(figures, "replayed_length") and _lasts_otherwise(figures, "imagined_length"):
        return None  # whatever is done, it ends where the world does not: what it pays follows from that
    imagined, replayed = figures["imagination/imagined_return"], figures["imagination/replayed_return"]
    real = figures["imagination/real_return"]
    own = "" if imagined is None else f", whatever it pays for the policy's own ({imagined:.3g})"
    surprise = ", ".join(name for name in SURPRISE if figures[name] is not None)
    named = f" ({surprise})" if surprise else ""
    return (
        f"The model's dynamics limit this run: with the very actions that were taken imagination pays {replayed:.3g} "
        f"where the world paid {real:.3g} from the same states{own}: more environment steps or model updates if the "
        f"model's surprise{named} still falls, or a model that keeps more of an observation."
    )


def _length(figures: Figures) -> str | None:
    imagined, real = figures["imagination/imagined_length"], figures["imagination/real_length"]
    if imagined is None or real is None or not _lasts_otherwise(figures, "imagined_length"):
        return None
    how = "goes on where the world ends" if imagined > real else "ends where the world goes on"
    return (
        f"The imagined length limits this run: imagination {how}, {imagined:.1f} transitions against {real:.1f} from "
        "the same states: more model updates per environment step, or more weight of the continuation's loss."
    )


def _pay(figures: Figures) -> str | None:
    if not _pays_otherwise(figures, "imagined_return", error="return_error"):
        return None
    imagined, real = figures["imagination/imagined_return"], figures["imagination/real_return"]
    replayed = figures["imagination/replayed_return"]
    assert imagined is not None
    assert real is not None
    return (
        f"The imagined return limits this run: imagination pays {imagined:.3g} where the world pays {real:.3g} from "
        f"the same states over as many transitions{_cause_and_remedy(imagined, replayed, real)}."
    )


def _cause_and_remedy(imagined: float, replayed: float | None, real: float) -> str:
    """Whose fault it is and what helps: the policy's where with real actions all is well, and unknown in runs of before
    that was measured."""
    if replayed is None:
        return (
            ": a policy learns to please an imagination like that: a shorter horizon, or more model updates per step"
            if imagined > real
            else ": what the team does well is not in it: more model updates per environment step"
        )
    known = f", and {replayed:.3g} with the actions that were taken, so "
    if imagined > real:
        return (
            f"{known}the policy goes where the model is wrong (or, in part, is better than those that collected): a "
            "shorter horizon, or more model updates per step"
        )
    return (
        f"{known}the model knows what the team does well and the policy does less of it: more policy rounds per "
        "environment step, or a smaller learning rate of the actor"
    )


def _pays_otherwise(figures: Figures, imagined: str, *, error: str) -> bool:
    """Whether imagination pays too much or too little, for certain; false where it is not known."""
    pays, real = figures[f"imagination/{imagined}"], figures["imagination/real_return"]
    spread, deviation = figures["imagination/real_return_deviation"], figures[f"imagination/{error}"]
    if pays is None or real is None or spread is None or deviation is None:
        return False
    gap = abs(pays - real)
    return gap > PAYS * max(abs(real), spread) and gap > SURE * deviation


def _lasts_otherwise(figures: Figures, imagined: str) -> bool:
    """Whether imagination lasts too long, or ends too soon; false where it is not known."""
    lasts, real = figures[f"imagination/{imagined}"], figures["imagination/real_length"]
    return lasts is not None and real is not None and not real / LONGER <= lasts <= real * LONGER


def _after_end(figures: Figures) -> str | None:
    share = figures["policy/imagined_after_end"]
    if share is None or share <= AFTER_END:
        return None
    return (
        f"Imagination after the end limits this run: {share:.0%} of the imagined rows that the policy learns from come "
        "after the predicted end: a shorter horizon, or rows weighted by their survival."
    )


def _decided(figures: Figures) -> str | None:
    entropy = figures["policy/entropy"]
    if entropy is None or figures.most_entropy is None or entropy >= DECIDED * figures.most_entropy:
        return None
    return (
        f"The policy limits this run: its entropy is {entropy:.2f} of at most {figures.most_entropy:.2f}, so it tries "
        "nothing new: a larger entropy scale, or one that decays more slowly."
    )


def _undecided(figures: Figures) -> str | None:
    entropy = figures["policy/entropy"]
    if entropy is None or figures.most_entropy is None or entropy <= UNDECIDED * figures.most_entropy:
        return None
    return (
        f"The policy limits this run: its entropy is {entropy:.2f} of at most {figures.most_entropy:.2f}, so it has "
        "hardly chosen anything: more policy rounds per environment step, or a smaller entropy scale."
    )


RULES: Mapping[str, Callable[[Figures], str | None]] = {
    "too short": _too_short,
    "solved": _solved,
    "exploration": _no_reward,
    "tokenizer": _tokens,
    "reward head": _reward_head,
    "dynamics": _dynamics,
    "imagined length": _length,
    "imagined return": _pay,
    "after the end": _after_end,
    "decided policy": _decided,
    "undecided policy": _undecided,
}
"""By name, in the order in which they are asked."""


def _all_well(figures: Figures) -> str:
    """What the rules have looked at, as far as it is known."""
    parts = []
    if (r2 := figures["held_out/reward_r2"]) is not None:
        parts.append(f"the model explains {r2:.0%} of held-out rewards")
    imagined, real = figures["imagination/imagined_return"], figures["imagination/real_return"]
    if imagined is not None and real is not None:
        replayed = figures["imagination/replayed_return"]
        too = "" if replayed is None else f" ({replayed:.3g} with the actions that were taken)"
        parts.append(f"imagination pays {imagined:.3g}{too} where the world pays {real:.3g}")
    if (entropy := figures["policy/entropy"]) is not None:
        parts.append(f"the policy's entropy is {entropy:.2f}")
    return ", ".join([*parts, "so what is left is more environment steps"])
