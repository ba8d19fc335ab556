"""A collector without a network, and the episodes that it has put into replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from heliograph.environments.vector import VectorEnvironment
from trainer.experience.collector import Collected, Collector
from trainer.experience.columns import state_column
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The state of `Counting`: steps since the start of the episode, int64 [E]."""

    step: torch.Tensor


class Counting:
    """A `Behaviour` whose only state counts the steps of an episode; what it does follows from what it sees."""

    def initial_state(self, copies: int) -> Steps:
        return Steps(step=torch.full((copies,), 999))

    def act(
        self,
        state: Steps,
        *,
        observation: torch.Tensor,
        action_mask: torch.Tensor,
        hears: torch.Tensor | None,
        first: torch.Tensor,
        draws: Draws,
    ) -> tuple[torch.Tensor, Steps]:
        step = torch.where(first, 0, state.step + 1)
        seen = (observation.double().sum((-1, -2)) * 1000).round().long() + step  # [E]
        wanted = (seen.unsqueeze(-1) + 5 * torch.arange(observation.shape[1])) % action_mask.sum(-1)
        legal = action_mask.long().cumsum(-1) - 1 == wanted.unsqueeze(-1)
        return (legal & action_mask).long().argmax(-1), Steps(step=step)

    def columns(self, _state: Steps) -> dict[str, torch.Tensor]:
        return {}


def collector_of(
    environment: VectorEnvironment,
    *,
    seed: int = 7,
    keeps_state: bool = False,
    most_steps: int = 0,
    **settings: Any,
) -> Collector:
    replay = Replay(
        ReplaySettings(capacity=4000, window=4, minimum=1, **settings),
        environment.spec,
        copies=environment.count,
        columns=state_column(environment.spec) if keeps_state else {},
    )
    return Collector(environment, Counting(), replay, seed=seed, device=torch.device("cpu"), most_steps=most_steps)


def collect(collector: Collector, steps: int) -> Collected:
    collected = collector.collect(steps, Counting())
    collector.commit()
    return collected


@dataclass(frozen=True, kw_only=True)
class Episode:
    copy: int
    start: int
    """Steps that its copy had made before."""
    rows: dict[str, np.ndarray]
    """By field; the first row, one per step, and absorbing rows."""
    steps: int
    running: bool
    """The last of its copy, which is not over."""


def episodes_in(replay: Replay) -> Iterator[Episode]:
    """The episodes of every copy's ring, in the order of their starts."""
    state = replay.state()
    found = []
    for copy, written in enumerate(state["written"]):
        firsts = [*np.flatnonzero(state["first"][copy, :written]), int(written)]
        made = 0
        for begin, end in pairwise(firsts):
            rows = {
                name: array[copy, begin:end]
                for name, array in state.items()
                if name not in ("written", "oldest", "read", "learned")
            }
            absorbing = (~rows["present"]).all(1) & rows["terminated"].all(1) & (rows["observation"] == 0).all((1, 2))
            # The closing row of a termination is a placeholder too, but earned something.
            steps = end - begin - 1 - int((absorbing & (rows["reward"] == 0).all(1)).sum())
            found.append(Episode(copy=copy, start=made, rows=rows, steps=steps, running=end == firsts[-1]))
            made += steps
    yield from sorted(found, key=lambda episode: (episode.start, episode.copy))
