"""A world that draws what happens in it: every state of its first episode, as PNG files or as one animated GIF."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coordinator.world.world import NOT_REPORTED, Advance, View, World
from heliograph.actions import Action
from heliograph.environments.animation import write_gif
from heliograph.environments.pictures import picture_of
from heliograph.environments.png import write_png
from heliograph.errors import HeliographError, OutputFailed, SettingsError, WorldError
from heliograph.extras import extra
from heliograph.system_refusals import remedy_for

logger = logging.getLogger(__name__)

LEAST_PIXELS = 480
"""Pictures whose longer side is shorter than this are enlarged by a whole number, so that they can be looked at."""

ANIMATED = ".gif"
VIDEOS = (".avi", ".mkv", ".mov", ".mp4", ".webm")
"""Names that are refused, for nobody means a folder by them."""


def film_file(film: Path, name: str, *, several: bool) -> Path:
    """The GIF that an animated `film` of the condition of this name becomes."""
    return film.with_stem(f"{film.stem}-{name}") if several else film


def filmed_in_words(film: Path, names: Sequence[str]) -> str:
    """Where the pictures of these conditions are."""
    if film.suffix.lower() != ANIMATED:
        return f"first episode drawn into {film}: {', '.join(f'{name}-….png' for name in names)}"
    several = len(names) > 1
    return f"first episode drawn: {', '.join(str(film_file(film, name, several=several)) for name in names)}"


class FilmedWorld(World):
    """Like the world it is made of; draws one episode to `film`.

    A film that ends in .gif becomes one file, with the `name` of the condition in it where there are `several`; any
    other is a folder for `<name>-000.png`, `<name>-001.png`, …  Raises WorldError where the environment has no
    pictures, SettingsError if it is named like a video, OutputFailed if the folder cannot be made, MissingExtra if a
    GIF cannot.  What fails later ends the film and not the episode: it is a warning, and `undrawn` is told.
    """

    def __init__(
        self, world: World, *, film: Path, name: str, several: bool = False, undrawn: Callable[[str], None]
    ) -> None:
        super().__init__(
            world.environment,
            links_cut=world.links_cut,
            channel=world.channel,
            codec=world.codec,
            longest_bits=world.longest_bits,
            most_steps=world.most_steps,
        )
        if film.suffix.lower() in VIDEOS:
            raise SettingsError(
                f"{film} would be a video, which is not written", remedy="Name a file that ends in .gif"
            )
        if not world.spec.renders:
            because = f": {world.spec.cannot_draw}" if world.spec.cannot_draw else ""
            raise WorldError(
                f"environment {world.spec.id!r} cannot be drawn{because}", remedy="Run it without --frames"
            )
        self._is_animated = film.suffix.lower() == ANIMATED
        folder = film.parent if self._is_animated else film
        if self._is_animated:
            require_animation()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputFailed(
                f"cannot make the folder {folder}: {error.strerror}", remedy=remedy_for(error)
            ) from error
        self._folder, self._name = folder, name
        self._file = film_file(film, name, several=several)
        self._undrawn, self._failed = undrawn, False
        self._seed: int | None = None
        self._filming = False
        self._drawn = 0
        self._frames: list[npt.NDArray[np.uint8]] = []
        """Of an animation, which is written at the end; a folder gets each at once."""

    def reset(self, seed: int) -> tuple[View | None, ...]:
        views = super().reset(seed)
        if self._seed is None:
            self._seed = seed
        # The first episode again is one that was lost with its simulator: from the first frame.
        self._filming, self._drawn, self._frames = seed == self._seed and not self._failed, 0, []
        with self._filmed():
            self._draw()
        return views

    def advance(
        self, actions: Sequence[Action], latents: Mapping[int, npt.NDArray[np.int32]] = NOT_REPORTED
    ) -> Advance:
        advance = super().advance(actions, latents)
        with self._filmed():
            self._draw()
            if advance.over and self._filming and self._is_animated:
                write_gif(self._frames, self._file)
        return advance

    @contextmanager
    def _filmed(self) -> Iterator[None]:
        """Whatever goes wrong inside ends the film."""
        try:
            yield
        except Exception as error:
            cause = str(error) if isinstance(error, HeliographError) else f"{type(error).__name__}: {error}"
            logger.warning("no pictures of the first episode %s, or not all: %s", self._name, cause)
            logger.debug("that came from", exc_info=True)
            self._filming, self._failed, self._frames = False, True, []
            self._undrawn(cause)

    def _draw(self) -> None:
        if not self._filming:
            return
        pixels = enlarged(picture_of(self.environment))
        if self._is_animated:
            self._frames.append(pixels)
        else:
            write_png(pixels, self._folder / f"{self._name}-{self._drawn:03d}.png")
        self._drawn += 1


def enlarged(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3], each pixel as often as it takes for the longer side to have `LEAST_PIXELS`."""
    times = -(-LEAST_PIXELS // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def require_animation() -> None:
    """Raises MissingExtra unless GIFs can be written here."""
    with extra(
        "bandwidth", packages={"PIL"}, purpose="an animated GIF", otherwise="; a folder of PNG files does without"
    ):
        import PIL  # noqa: F401 (whether it is there)
