"""What a team answered to a script, and where two such answers differ.

Axis legend: T steps, N agents, K categoricals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.world.trajectory import StepRecord

NEVER = 2**31
"""A step that never comes."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers to one script."""

    episode: int
    """The number under which it was replayed."""
    action: npt.NDArray[np.int64 | np.float32]
    """int64 [T, N], or float32 [T, N, k] of continuous ones."""
    latent: npt.NDArray[np.int32] | None
    """int32 [T, N, K], -1 where an agent was not there; None without messages."""
    hears: npt.NDArray[np.bool_]
    """bool [T, N, N]: [t, i, j] says that i read, or at step 0 would have read, what j said at t - 1."""
    logits: npt.NDArray[np.float32] | None = None
    """float32 [T, N, A], of continuous actions [T, N, 2k], where they are known: in one process."""

    @classmethod
    def of(cls, records: Sequence[StepRecord], *, logits: npt.NDArray[np.float32] | None = None) -> Answers:
        latents = [record.latent for record in records if record.latent is not None]
        return cls(
            episode=records[0].episode,
            action=np.array([record.action for record in records]),
            latent=np.array(latents) if latents else None,
            hears=np.array([record.hears for record in records]),
            logits=logits,
        )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two plays side by side."""

    action: npt.NDArray[np.bool_]
    """bool [T, N]: the actions differ, in any dimension."""
    categoricals: npt.NDArray[np.int64]
    """int64 [T, N]: how many categoricals of the latent differ."""
    hears: npt.NDArray[np.bool_]
    """bool [T, N, N], the same in both."""

    @property
    def message(self) -> npt.NDArray[np.bool_]:
        """bool [T, N]: latent or action, and so the message, differ."""
        return self.action | (self.categoricals > 0)

    def first(self) -> npt.NDArray[np.int64]:
        """int64 [N]: the first step at which an agent's answer differs."""
        return _first(self.message)

    def allowed(self, *, perturbed: int | None, start: int) -> npt.NDArray[np.int64]:
        """int64 [N]: the first step at which it may differ.

        For the perturbed agent that is the perturbation's; for any other the first at which it reads a message that
        differs, which its sender spoke one step before.
        """
        read = np.zeros_like(self.action)
        read[1:] = (self.hears[1:] & self.message[:-1, None, :]).any(axis=2)
        allowed = _first(read)
        if perturbed is not None:
            allowed[perturbed] = min(start, allowed[perturbed])
        return allowed


def difference(one: Answers, other: Answers) -> Difference:
    """Compare two plays of scripts with the same graph and presence."""
    acted = one.action != other.action
    acted = acted.any(axis=2) if acted.ndim == 3 else acted
    differs = np.zeros(acted.shape, dtype=np.int64)
    if one.latent is not None and other.latent is not None:
        differs = (one.latent != other.latent).sum(axis=2)
    return Difference(action=acted, categoricals=differs, hears=one.hears)


def _first(happens: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """int64 [N]: the first step of bool [T, N] that is true, or NEVER."""
    return np.where(happens.any(axis=0), happens.argmax(axis=0), NEVER)
