"""Replay: a ring of rows per environment copy, from which windows of consecutive rows are drawn.

Axis legend: T window length, B windows, E copies, N agents, D observation, A actions.

An episode of n steps has n + 1 rows: its first observation, then one row per action with what it led to.  Where all
agents terminate, absorbing rows follow (zero observation, a random action, no reward; MAMBA's released code).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import CheckpointError
from trainer.hearing import everyone_heard
from trainer.replay_settings import ReplaySettings
from trainer.world_model.window import Window


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One row for each of some copies (first axis); what `Window` says of the fields holds here too."""

    observation: np.ndarray
    action_mask: np.ndarray
    hears: np.ndarray
    present: np.ndarray
    first: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray


class Replay:
    """Rings of equal capacity, one per copy; rows of one copy stay in order."""

    def __init__(self, settings: ReplaySettings, spec: EnvironmentSpec, *, copies: int) -> None:
        self.settings, self.copies = settings, copies
        self.complete_graph = spec.complete_graph
        self.capacity = max(settings.capacity // copies, settings.window + 1)
        agents, actions = spec.agents, spec.actions
        shapes = {
            "observation": ((agents, spec.observation_size), np.float32),
            "action_mask": ((agents, actions), bool),
            "hears": ((agents, agents), bool),
            "present": ((agents,), bool),
            "first": ((), bool),
            "action": ((agents,), np.int16),
            "reward": ((agents,), np.float32),
            "terminated": ((agents,), bool),
        }
        self._rows = {name: np.zeros((copies, self.capacity, *shape), dtype) for name, (shape, dtype) in shapes.items()}
        self._written = np.zeros(copies, dtype=np.int64)  # since the beginning; the head is this modulo capacity

    def __len__(self) -> int:
        return int(np.minimum(self._written, self.capacity).sum())

    @property
    def ready(self) -> bool:
        """Enough rows for an update, and at least one whole window."""
        return len(self) >= self.settings.minimum and len(self._starts()[0]) > 0

    def add(self, copies: np.ndarray, rows: Rows) -> None:
        """Append one row to each of `copies` (indices)."""
        head = self._written[copies] % self.capacity
        for name, ring in self._rows.items():
            ring[copies, head] = getattr(rows, name)
        self._written[copies] += 1

    def add_absorbing(self, copies: np.ndarray, random: np.random.Generator) -> None:
        """Append the absorbing rows of episodes that terminated; every agent repeats one random action in them."""
        count, agents, actions = len(copies), *self._rows["action_mask"].shape[2:]
        rows = Rows(
            observation=np.zeros((count, *self._rows["observation"].shape[2:]), np.float32),
            action_mask=np.ones((count, agents, actions), bool),
            # On a complete graph nothing but an agent that left early makes a window need its graphs.
            hears=np.broadcast_to(~np.eye(agents, dtype=bool) & self.complete_graph, (count, agents, agents)),
            present=np.zeros((count, agents), bool),
            first=np.zeros(count, bool),
            action=random.integers(actions, size=(count, agents)),
            reward=np.zeros((count, agents), np.float32),
            terminated=np.ones((count, agents), bool),
        )
        for _ in range(self.settings.absorbing_rows):
            self.add(copies, rows)

    def sample(self, random: np.random.Generator) -> Window:
        """Draw a batch of windows, uniformly over all positions where one can start."""
        copies, offsets = self._starts()
        chosen = random.integers(len(copies), size=self.settings.batch)
        steps = np.arange(self.settings.window)[:, None]
        copy, position = copies[chosen][None], (offsets[chosen][None] + steps) % self.capacity
        picked = {name: torch.from_numpy(ring[copy, position]) for name, ring in self._rows.items()}
        if self.complete_graph and everyone_heard(picked["hears"].numpy()):
            picked["hears"] = None
        picked["action"] = picked["action"].long()
        return Window(**picked)

    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies and ring positions at which a window may begin without crossing the write head."""
        filled = np.minimum(self._written, self.capacity)
        age = np.arange(self.capacity)  # 0 is the oldest row
        position = (np.where(self._written > self.capacity, self._written, 0)[:, None] + age) % self.capacity
        whole = age[None] <= (filled - self.settings.window)[:, None]
        if self.settings.start == "first":
            whole &= np.take_along_axis(self._rows["first"], position, axis=1)
        copies, ages = np.nonzero(whole)
        return copies, position[copies, ages]

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays; rows that were never written are left out."""
        used = int(min(self._written.max(initial=0), self.capacity))
        return {"written": self._written} | {name: ring[:, :used] for name, ring in self._rows.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a saved state.  Raises CheckpointError if it is of a replay with other dimensions."""
        self._written = state["written"].copy()
        for name, ring in self._rows.items():
            saved = state[name]
            if saved.shape[0] != ring.shape[0] or saved.shape[2:] != ring.shape[2:] or saved.shape[1] > self.capacity:
                raise CheckpointError(f"replay of the checkpoint has {name} of shape {saved.shape}, not {ring.shape}")
            ring[:, : saved.shape[1]] = saved
