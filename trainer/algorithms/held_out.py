"""How well a model predicts experience that nothing has learned from yet: the newest rows, before their first update.

It costs no environment step: every row is held out once, between the moment when it comes and the update that learns
from it.  What is measured is pooled over the last thousands of transitions, since one iteration's may hold no reward.

Axis legend: T rows of a window, S = T - 1 transitions, B windows, N agents (1 where a model predicts the team's
reward).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from trainer.algorithms.interfaces import Algorithm
from trainer.experience.earned import acted
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.policy.draws import RandomDraws

HALF_LIFE = 1000.0
"""Transitions of a team after which a measurement counts half."""

_SUMS = (
    "transitions",
    "earned",
    "earned_squared",
    "squared_error",
    "judged",
    "ends",
    "predicted_ends",
    "predicted_ends_at_ends",
)
"""What is kept, weighted by age; the last four are of the continuation, where a model predicts one."""
_COUNTER = "held_out."


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a model says of the transitions of a window, each from its row and the action that followed, beside what
    came of them."""

    reward: Tensor
    """[S, B, N]."""
    earned: Tensor
    """[S, B, N], in the same unit."""
    continuation: Tensor | None
    """[S, B, N] probability that the agent has a future; None where a model says nothing of that."""
    ended: Tensor
    """bool [S, B, N]: it had none."""
    known: Tensor
    """bool [S, B]: the model had seen what it reads."""
    codes: Tensor | None = None
    """int64 [T, B, N, K]: classes of the latents of all rows; None where they are told of elsewhere."""


@runtime_checkable
class PredictingAlgorithm(Algorithm, Protocol):
    """An algorithm whose model predicts what actions earn."""

    @property
    def held_out(self) -> HeldOut:
        """Its own; counters keep it."""
        ...

    def predict(self, window: Window, draws: RandomDraws) -> Predicted | None:
        """Of the transitions of a window no longer than those that it learns from, in inference and with no draws but
        these; None while the model has learned nothing."""
        ...


class HeldOut:
    """Running figures of one algorithm's model; what has not been seen is None."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(_SUMS, 0.0)
        self.count = 0
        """Measurements; each draws numbers of its own."""

    @property
    def reward_r2(self) -> float | None:
        """Share of the variance of held-out rewards that the model explains; below 0 it does worse than their mean.

        The one figure that tells whether a policy has anything to learn from: learning it before this is clearly above
        0 teaches it noise.  None until rewards have differed.
        """
        sums = self._sums
        if not sums["transitions"]:
            return None
        variance = sums["earned_squared"] - sums["earned"] ** 2 / sums["transitions"]
        # What is left of equal rewards by rounding is no variance.
        return 1 - sums["squared_error"] / variance if variance > 1e-9 * sums["earned_squared"] else None

    def see(self, predicted: Predicted, counted: Tensor, there: Tensor) -> None:
        """Take in transitions, where `counted` (bool [S, B]); ends are of agents that were `there` (bool [S, B, N]),
        since whoever is gone does not end again."""
        counted = counted & predicted.known
        fresh = _sums_of(predicted, counted, there)
        keep = 0.5 ** (float(counted.sum()) / HALF_LIFE)
        self._sums = {name: keep * self._sums[name] + fresh[name] for name in _SUMS}

    def metrics(self) -> dict[str, float]:
        """What is known, for the record of an iteration."""
        sums, found = self._sums, {}
        if sums["transitions"]:
            found["held_out/transitions"] = sums["transitions"]  # of agents, older ones count less
        if (r2 := self.reward_r2) is not None:
            found["held_out/reward_r2"] = r2
        if sums["judged"]:
            found["held_out/ends"] = sums["ends"] / sums["judged"]
            found["held_out/predicted_ends"] = sums["predicted_ends"] / sums["judged"]
        if sums["ends"] > 1e-6:
            found["held_out/predicted_ends_at_ends"] = sums["predicted_ends_at_ends"] / sums["ends"]
        return found

    def counters(self) -> dict[str, float]:
        """For a checkpoint."""
        return {_COUNTER + name: value for name, value in self._sums.items()} | {_COUNTER + "count": self.count}

    def restore(self, counters: Mapping[str, float]) -> None:
        """Take over those of a checkpoint; an older one has none."""
        self._sums = {name: float(counters.get(_COUNTER + name, 0.0)) for name in _SUMS}
        self.count = int(counters.get(_COUNTER + "count", 0))


def measure_held_out(algorithm: PredictingAlgorithm, replay: Replay, device: torch.device) -> dict[str, float]:
    """Have a model predict what has come into replay since this was called last; to be called before an update.

    Draws from a generator of its own, so nothing of a training changes by it.
    """
    used: dict[str, float] = {}
    length, from_first = replay.settings.window, replay.settings.start == "first"
    window, new = replay.unread(leading=length if from_first else 1)
    if len(new) < 2:
        return algorithm.held_out.metrics()  # nothing came since, and a transition takes two rows
    window, counted = (episodes_begun if from_first else pieces)(window, new, length=length)
    if counted.any():
        held_out = algorithm.held_out
        draws = RandomDraws(torch.Generator(device).manual_seed(held_out.count))
        predicted = algorithm.predict(window.to(device), draws)
        held_out.count += 1
        if predicted is not None:
            held_out.see(predicted, counted_transitions(window, counted).to(device), acted(window).to(device))
            if predicted.codes is not None:
                used = code_use(predicted.codes[counted.to(device)])
    return algorithm.held_out.metrics() | used


def counted_transitions(window: Window, rows: Tensor) -> Tensor:
    """bool [S, B]: which transitions lead to one of `rows` (bool [T, B]) within an episode, from before its end."""
    return rows[1:] & acted(window).any(-1)


def episodes_begun(window: Window, rows: Tensor, *, length: int) -> tuple[Window, Tensor]:
    """The beginnings of the episodes of a window, as windows of at most `length` rows, and of `rows` (bool [T, B])
    theirs: for a model that learns of episodes from their first rows on, and of no more than that.

    Where there is nothing more of an episode, its window goes on with others, which do not count.
    """
    begins, copies = window.first.nonzero(as_tuple=True)
    wanted = begins + torch.arange(min(length, len(rows)), device=rows.device)[:, None]  # [T', B']
    inside = wanted < len(rows)
    places = wanted.clamp(max=len(rows) - 1)
    counted = rows[places, copies] & inside & (window.first[places, copies].cumsum(0) == 1)
    kept = counted[1:].any(0)  # others would be looked at for nothing
    places, copies = places[:, kept], copies[kept]
    return window.each(lambda tensor: tensor[places, copies]), counted[:, kept]


def code_use(codes: Tensor) -> dict[str, float]:
    """Of class ids [R, N, K]: how many classes of a categorical are in use, and its perplexity, which counts a class
    that is hardly ever drawn as hardly one; means over the categoricals."""
    rows = codes.flatten(0, -2)  # [R * N, K]
    if not len(rows):
        return {}
    share = functional.one_hot(rows).double().mean(0)  # [K, C]
    return {
        "held_out/codes_in_use": float((share > 0).sum(-1).double().mean()),
        "held_out/code_perplexity": float(torch.exp(-torch.xlogy(share, share).sum(-1)).mean()),
    }


def pieces(window: Window, rows: Tensor, *, length: int) -> tuple[Window, Tensor]:
    """A window as windows of at most `length` rows beside one another, and of `rows` (bool [T, B]) theirs.

    Neighbours share a row, so that each transition is in one of them; where the last one has to begin earlier to be as
    long, what it repeats does not count.
    """
    total = len(rows)
    length = max(min(length, total), 2)
    begins = [min(begin, total - length) for begin in range(0, total - 1, length - 1)]
    counted = []
    for place, begin in enumerate(begins):
        piece = rows[begin : begin + length].clone()
        piece[: place * (length - 1) - begin + 1] = False  # its first row is no transition's end
        counted.append(piece)
    cut = window.each(lambda tensor: torch.cat([tensor[begin : begin + length] for begin in begins], dim=1))
    return cut, torch.cat(counted, dim=1)


def _sums_of(predicted: Predicted, counted: Tensor, there: Tensor) -> dict[str, float]:
    """Over transitions (bool [S, B]), each agent's apart."""
    earned, reward = predicted.earned[counted].double(), predicted.reward[counted].double()
    ended = torch.zeros(0, dtype=torch.float64, device=earned.device)
    predicted_end = ended
    if predicted.continuation is not None:
        judged = counted.unsqueeze(-1) & there
        predicted_end = 1 - predicted.continuation[judged].double()
        ended = predicted.ended[judged].double()
    sums = [
        torch.tensor(float(earned.numel()), dtype=torch.float64, device=earned.device),
        earned.sum(),
        earned.square().sum(),
        (reward - earned).square().sum(),
        torch.tensor(float(ended.numel()), dtype=torch.float64, device=earned.device),
        ended.sum(),
        predicted_end.sum(),
        (predicted_end * ended).sum(),
    ]
    return dict(zip(_SUMS, torch.stack(sums).tolist(), strict=True))
