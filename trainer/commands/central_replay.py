"""What the trainer's networks decide on recorded inputs and messages, agent by agent.  For `central_evaluator.py`.

Every message comes from the record, so a decision that differs, because rounding broke a tie, changes no later one.

Axis legend: T steps, N agents, D observation, A entries of an action mask, P outputs of an actor, K categoricals,
k dimensions of a continuous action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.noise import uniform
from trainer.algorithms.interfaces import Algorithm


@dataclass(frozen=True, kw_only=True)
class RecordedEpisode:
    """What the agents perceived and said."""

    episode: int
    observation: npt.NDArray[Any]
    """float32 [T, N, D]."""
    action_mask: npt.NDArray[Any]
    """bool [T, N, A]."""
    present: npt.NDArray[Any]
    """bool [T, N]."""
    hears: npt.NDArray[Any]
    """bool [T, N, N]: [t, i, j] says that i read, or at a first step would have read, what j said at t - 1."""
    latent: npt.NDArray[Any] | None
    """int32 [T, N, K]; None without messages."""
    action: npt.NDArray[Any]
    """int64 [T, N], or float32 [T, N, k]."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Decisions; zeros where an agent was not present."""

    latent: npt.NDArray[Any] | None
    """int32 [T, N, K]."""
    action: npt.NDArray[Any]
    """int64 [T, N], or float32 [T, N, k]."""
    logits: npt.NDArray[Any]
    """float32 [T, N, P]."""


@torch.no_grad()
def replay(algorithm: Algorithm, recorded: RecordedEpisode, *, run_seed: int, greedy: bool) -> Replay:
    """Decide every step of an episode again."""
    found = Replay(
        latent=None if recorded.latent is None else np.zeros_like(recorded.latent),
        action=np.zeros_like(recorded.action),
        logits=np.zeros((*recorded.present.shape, algorithm.actions.outputs), dtype=np.float32),
    )
    for slot in range(recorded.present.shape[1]):
        function = algorithm.step_function(slot)
        initial = {f"state.{state.name}": torch.full(state.shape, state.initial) for state in function.state}
        state = initial
        for step in np.flatnonzero(recorded.present[:, slot]):
            first = step == 0 or not recorded.present[step - 1, slot]
            noise = uniform(
                run_seed=run_seed, slot=slot, episode=recorded.episode, step=int(step), size=function.noise_size
            )
            feeds = {
                "observation": torch.from_numpy(recorded.observation[step, slot]),
                "action_mask": torch.from_numpy(recorded.action_mask[step, slot]),
                "first": torch.tensor(bool(first)),
                "greedy": torch.tensor(greedy),
                "noise": torch.from_numpy(noise),
                **_inbox(recorded, step=int(step), slot=slot, first=bool(first)),
                **(initial if first else state),
            }
            values = function.module(*(feeds[name] for name in function.inputs))
            answers = dict(zip(function.outputs, values, strict=True))
            state = {name: answers[f"{name}.next"] for name in initial}
            found.action[step, slot] = answers["action"].numpy()
            found.logits[step, slot] = answers["logits"].numpy()
            if found.latent is not None:
                found.latent[step, slot] = answers["latent"].numpy()
    return found


def _inbox(recorded: RecordedEpisode, *, step: int, slot: int, first: bool) -> dict[str, Tensor]:
    """What the agent reads: its own message and those that it hears; zeros of the same senders at a first step."""
    if recorded.latent is None:
        return {}
    present = recorded.hears[step, slot].copy()
    present[slot] = True
    has_sent = present & (not first)
    before = max(step - 1, 0)
    per_action = has_sent.reshape(-1, *[1] * (recorded.action.ndim - 2))
    executed = np.float32 if recorded.action.dtype == np.float32 else np.int32
    return {
        "inbox_latent": torch.from_numpy(np.where(has_sent[:, None], recorded.latent[before], 0).astype(np.int32)),
        "inbox_action": torch.from_numpy(np.where(per_action, recorded.action[before], 0).astype(executed)),
        "inbox_present": torch.from_numpy(present),
        # What is recorded as heard is of the step before; who predicts what is missing has nothing to predict here.
        "inbox_age": torch.zeros(len(present), dtype=torch.int32),
    }
