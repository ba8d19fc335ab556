"""A rollout beside what is real, as a picture of its end (PNG) or of every step (GIF).

Above, where the world can be drawn: the real episode, and the same world with the actions of the first rollout.  Below
on the left: what one agent observes, and what the rollout reconstructs of it; on the right: what was earned so far, and
whether the episode still goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.display import BLUE, VERMILION
from heliograph.environments.animation import write_gif
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import OutputFailed
from trainer.training.imagined_episode import EpisodeRun, ImaginedBesideReal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

TRACES = 4
"""Observed numbers that are drawn: those that vary most in what is real or imagined."""
LEAST_SPAN = 0.1
"""Of their y axes, as a share of the widest among them: else what hardly varies looks like what does."""
ANIMATED, STILL = ".gif", ".png"
OTHERS = "0.65"
"""Of the other rollouts' curves."""


def draw_imagined(found: ImaginedBesideReal, spec: EnvironmentSpec, path: Path, *, title: str, slot: int = 0) -> None:
    """Write the picture to a file that ends in .png or .gif; `slot` is the agent whose observations are shown.

    Its folder is made.  Raises OutputFailed if the disk refuses.
    """
    picture = _Picture(found, spec, title=title, slot=slot)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ANIMATED:
            write_gif(list(picture.frames()), path)
        else:
            picture.show(len(found.real.reward))
            picture.figure.savefig(path, dpi=100)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror or error}", remedy="Name another file") from error


class _Picture:
    def __init__(self, found: ImaginedBesideReal, spec: EnvironmentSpec, *, title: str, slot: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        self._found, self._steps = found, len(found.real.reward)
        drawn = found.drawn
        self.figure: Figure = Figure(figsize=(9, 9 if drawn else 5.5), layout="constrained")
        self._canvas = FigureCanvasAgg(self.figure)
        self.figure.suptitle(title)
        below: SubFigure
        if drawn:
            above, below = self.figure.subfigures(2, 1, height_ratios=(1, 1.2)).flat
        else:
            below = self.figure.subfigures(1, 1, squeeze=False)[0, 0]
        self._images: list[tuple[Any, Axes, EpisodeRun, str]] = []
        if drawn:
            for axes, played, name in zip(
                above.subplots(1, 2),
                (found.real, found.replayed),
                ("the world", "the world, doing what was imagined"),
                strict=True,
            ):
                axes.set_axis_off()
                self._images.append((axes.imshow(played.frames[0]), axes, played, name))
        sides = ["earned"] * 2 + ["goes on"] * 2
        axes = below.subplot_mosaic([[f"trace {place}", side] for place, side in enumerate(sides)])
        self._traces([axes[f"trace {place}"] for place in range(TRACES)], spec, slot)
        self._earned(axes["earned"])
        self._goes_on(axes["goes on"])
        self._now = [each.axvline(0, color="0.3", linewidth=0.8) for each in axes.values()]
        for each in axes.values():
            each.spines[["top", "right"]].set_visible(False)
            each.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            each.set_xlim(-0.02 * self._steps, 1.02 * self._steps)

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """uint8 [height, width, 3] of every state."""
        for step in range(self._steps + 1):
            self.show(step)
            self._canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib gives it no types
            # Everything stays where it is from now on; to look where takes as long as to draw it.
            self.figure.set_layout_engine("none")
            yield np.asarray(self._canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]  # likewise

    def show(self, step: int) -> None:
        """Make it the picture after so many transitions."""
        for image, axes, played, name in self._images:
            last = len(played.frames) - 1
            image.set_data(played.frames[min(step, last)])
            axes.set_title(f"{name}{f' ({played.ended})' if step > last else ''}", fontsize=9)
        for line in self._now:
            line.set_xdata([step, step])

    def _traces(self, axes: list[Axes], spec: EnvironmentSpec, slot: int) -> None:
        real, imagined = self._found.real.observation[:, slot], self._found.imagined.observation[:, slot]
        varies = np.maximum(real.std(0), imagined[: len(real)].std(0))
        chosen = np.sort(np.argsort(-varies, kind="stable")[:TRACES])
        for each, entry in zip(axes, chosen.tolist(), strict=False):
            each.plot(real[:, entry], color=BLUE, linewidth=1.2)
            each.plot(imagined[:, entry], color=VERMILION, linewidth=1.2, linestyle="--")
            named = spec.observation_names[entry] if spec.observation_names else f"observed number {entry}"
            each.set_title(f"agent {slot}: {named}", fontsize=8)
            each.tick_params(labelsize=7)
        _widen(axes[: len(chosen)])
        for each in axes[len(chosen) :]:
            each.set_axis_off()

    def _earned(self, axes: Axes) -> None:
        for place, earned in enumerate(self._found.imagined.earned[1:]):
            axes.plot(_so_far(earned), color=OTHERS, linewidth=0.7, label="" if place else "other rollouts")
        axes.plot(_so_far(self._found.replayed.reward), color=VERMILION, linewidth=1.2, label="real, as imagined")
        axes.plot(
            _so_far(self._found.imagined.earned[0]), color=VERMILION, linewidth=1.2, linestyle="--", label="imagined"
        )
        axes.plot(_so_far(self._found.real.reward), color=BLUE, linewidth=1.5, label="real")
        axes.set_title("reward so far", fontsize=8)
        axes.legend(fontsize=7, frameon=False)
        axes.tick_params(labelsize=7)

    def _goes_on(self, axes: Axes) -> None:
        for lasts in self._found.imagined.survival[1:]:
            axes.plot(lasts, color=OTHERS, linewidth=0.7)
        # The dashes above: where the model is right, both lines are one.
        axes.plot(np.ones(self._steps), color=BLUE, linewidth=1.5)
        axes.plot(self._found.imagined.survival[0], color=VERMILION, linewidth=1.2, linestyle="--")
        axes.set_ylim(-0.03, 1.05)
        axes.set_title("probability that the episode still goes on", fontsize=8)
        axes.set_xlabel("transitions", fontsize=8)
        axes.tick_params(labelsize=7)


def _widen(every: list[Axes]) -> None:
    spans = [each.get_ylim() for each in every]
    least = LEAST_SPAN * max(high - low for low, high in spans)
    for each, (low, high) in zip(every, spans, strict=True):
        missing = max(0.0, least - (high - low)) / 2
        each.set_ylim(low - missing, high + missing)
        each.ticklabel_format(axis="y", useOffset=False)


def _so_far(rewards: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[H + 1]: sums of the rewards until each state."""
    return np.concatenate([[0.0], rewards.cumsum()])
