"""A world that draws what happens in it: a PNG of every state of its first episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from coordinator.world import NOT_TOLD, Advance, View, World
from heliograph.actions import Action
from heliograph.environments.png import write_png
from heliograph.errors import SettingsError


class FilmedWorld(World):
    """Like the world it is made of; writes `<name>-000.png`, `<name>-001.png`, … into a folder, for one episode.

    Raises WorldError where the environment cannot be drawn, SettingsError if the folder cannot be made.
    """

    def __init__(self, world: World, *, folder: Path, name: str) -> None:
        super().__init__(
            world.environment,
            links_cut=world.links_cut,
            channel=world.channel,
            codec=world.codec,
            longest_bits=world.longest_bits,
            most_steps=world.most_steps,
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._folder, self._name = folder, name
        self._seed: int | None = None
        self._filming = False
        self._frames = 0

    def reset(self, seed: int) -> tuple[View | None, ...]:
        views = super().reset(seed)
        if self._seed is None:
            self._seed = seed
        # The first episode again is one that was lost with its simulator: from the first frame.
        self._filming, self._frames = seed == self._seed, 0
        self._draw()
        return views

    def advance(self, actions: Sequence[Action], latents: Mapping[int, np.ndarray] = NOT_TOLD) -> Advance:
        advance = super().advance(actions, latents)
        self._draw()
        return advance

    def _draw(self) -> None:
        if self._filming:
            write_png(self.environment.render(), self._folder / f"{self._name}-{self._frames:03d}.png")
            self._frames += 1
