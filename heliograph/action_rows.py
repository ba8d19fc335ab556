"""The actions of a team in one array: a row for each agent, whatever each of them can do.

Where all act alike a row is what an agent does: a number, or k of them.  Where some choose among numbered actions and
others give vectors, a row has room for both, a choice and a vector, of which its agent has one and the other is 0.  The
mask of such a row says whose it is: of an agent with numbered actions no dimension is there, and an agent with a vector
has one choice alone, the first.

Environments, the trainer and recordings hold rows; an agent and its bundle know their own part.

Axis legend: N agents, A numbered actions, k dimensions of a continuous one, P outputs of a policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.actions import Action, ActionSpace, ContinuousActions, DiscreteActions


@dataclass(frozen=True)
class ActionRows:
    """Of a team whose agents can do what `spaces` say, by slot.

    Raises ValueError unless all numbered ones are as many, and all vectors of one size with as many bits.
    """

    spaces: tuple[ActionSpace, ...]

    def __post_init__(self) -> None:
        counts = {space.count for space in self.spaces if isinstance(space, DiscreteActions)}
        vectors = {(space.size, space.bits) for space in self.spaces if isinstance(space, ContinuousActions)}
        if len(counts) > 1 or len(vectors) > 1:
            raise ValueError(
                f"numbered actions of a team must all be as many, not {sorted(counts)}, and vectors alike in "
                f"dimensions and bits, not {sorted(vectors)}"
            )

    @cached_property
    def choices(self) -> int:
        """A; 0 where no agent has numbered actions."""
        return next((space.count for space in self.spaces if isinstance(space, DiscreteActions)), 0)

    @cached_property
    def vector(self) -> ContinuousActions | None:
        """Of the first agent that gives vectors: the others' have as many dimensions and bits, but their own bounds."""
        return next((space for space in self.spaces if isinstance(space, ContinuousActions)), None)

    @property
    def size(self) -> int:
        """k; 0 where no agent's action is a vector."""
        return 0 if self.vector is None else self.vector.size

    @property
    def mixed(self) -> bool:
        """Whether some agents have numbered actions and others vectors."""
        return bool(self.choices and self.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: (), (k,), or of a mixed team (1 + k,)."""
        if self.mixed:
            return (1 + self.size,)
        return self.spaces[0].shape

    @property
    def dtype(self) -> type[np.int64 | np.float32]:
        """Of rows: whole numbers where there is nothing else."""
        return np.float32 if self.size else np.int64

    @property
    def inbox_dtype(self) -> type[np.int32 | np.float32]:
        """Of rows in a bundle's inbox."""
        return np.float32 if self.size else np.int32

    @property
    def mask_size(self) -> int:
        """A + k, entries of a row's mask."""
        return self.choices + self.size

    @property
    def policy_size(self) -> int:
        """P = A + 2k: logits of the choices, then means and deviations of the vector."""
        return self.choices + 2 * self.size

    def row(self, slot: int, action: Action) -> npt.NDArray[Any]:
        """What an agent does, as its row."""
        if not self.mixed:
            return np.asarray(action, dtype=self.dtype)
        row = np.zeros(self.shape, dtype=np.float32)
        if self.is_vector(slot):
            row[1:] = action
        else:
            row[0] = action
        return row

    def joint(self, actions: Sequence[Action]) -> npt.NDArray[Any]:
        """What all agents do, [N, ...]."""
        return np.array([self.row(slot, action) for slot, action in enumerate(actions)], dtype=self.dtype)

    def action(self, slot: int, row: npt.NDArray[Any]) -> Action:
        """The inverse of `row`."""
        if not self.is_vector(slot):
            return int(row[0] if self.mixed else row)
        vector: npt.NDArray[np.float32] = row[1:] if self.mixed else row
        return vector

    def is_vector(self, slot: int) -> bool:
        """Whether the agent gives a vector, and not a number."""
        return isinstance(self.spaces[slot], ContinuousActions)

    def own(self, slot: int) -> slice:
        """Where in a row's mask the agent's own entries stand."""
        return slice(self.choices, self.mask_size) if self.is_vector(slot) else slice(0, self.choices)

    def own_outputs(self, slot: int) -> slice:
        """Likewise among the outputs of a policy."""
        return slice(self.choices, self.policy_size) if self.is_vector(slot) else slice(0, self.choices)

    def mask_row(self, slot: int, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The mask bool [A + k] of an agent's row, from that of its own action."""
        mask = np.zeros(self.mask_size, dtype=np.bool_)
        mask[self.own(slot)] = own
        if self.is_vector(slot):
            mask[: min(self.choices, 1)] = True
        return mask

    def policy_row(self, slot: int, own: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Outputs float32 [P] of which the agent's own are given; zeros beside them."""
        outputs = np.zeros(self.policy_size, dtype=np.float32)
        outputs[self.own_outputs(slot)] = own
        return outputs

    def counting_outputs(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which outputs are an agent's own and say something of what its mask allows: bool [..., N, P] of masks
        [..., N, A + k]."""
        dimensions = mask[..., self.choices :]
        counting: npt.NDArray[np.bool_] = np.concatenate([mask[..., : self.choices], dimensions, dimensions], axis=-1)
        for slot in range(len(self.spaces)):
            own = counting[..., slot, self.own_outputs(slot)].copy()
            counting[..., slot, :] = False
            counting[..., slot, self.own_outputs(slot)] = own
        return counting

    @cached_property
    def whole_masks(self) -> npt.NDArray[np.bool_]:
        """bool [N, A + k]: all that each agent can do."""
        all_own = [np.ones(space.mask_size, dtype=np.bool_) for space in self.spaces]
        return np.array([self.mask_row(slot, own) for slot, own in enumerate(all_own)])

    def snapped(self, joint: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Joint actions [..., N, ...] with their vectors at the middle of their cells, float32."""
        assert self.vector is not None
        if not self.mixed:
            return self.vector.snapped(joint)
        return np.concatenate([joint[..., :1].astype(np.float32), self.vector.snapped(joint[..., 1:])], axis=-1)

    def drawn(self, uniform: npt.NDArray[np.floating[Any]], mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Legal joint actions [..., N, ...] by masks bool [..., N, A + k] and as many numbers in [0, 1)."""
        choice: npt.NDArray[np.int64] = (
            (uniform * mask)[..., : self.choices].argmax(-1) if self.choices else np.array(0)
        )
        if not self.size:
            return choice
        vector: npt.NDArray[np.floating[Any]] = 2 * uniform[..., self.choices :] - 1
        if not self.mixed:
            return vector
        return np.concatenate([choice[..., None], vector * mask[..., self.choices :]], axis=-1)
