"""How fast imagined observations leave the real ones, of world models side by side (figure 7 of MARIE's paper).

    python benchmarks/dream_error.py RUN RUN ... [--episodes 10] [--segments 1000] [--out FOLDER]

The final policy of every run plays in so many copies of its world for as long as an episode can be, sampled.  Segments
are drawn from all of them alike, and every model imagines each of them on from its first observation and what led up to
it, with the actions that were really taken.  Written are `dream_error.csv`, the mean absolute error per dimension of an
observation by imagined step, with its standard error over segments, and `dream_error.png`.
*Nothing moves* is what says that all stays as it was.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heliograph.display import console
from heliograph.environments.permission import CATALOGUE_ONLY
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.batch import Batch
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.policy.draws import RandomDraws
from trainer.training.calibration import led_up_to, taken
from trainer.training.making import make_environment
from trainer.training.restored import restored_algorithm
from trainer.training.run_folder import RunFolder

CPU, AT_ONCE = torch.device("cpu"), 125
STILL = "nothing moves"


@dataclass(frozen=True)
class Model:
    label: str
    folder: RunFolder
    algorithm: ImaginingAlgorithm

    @property
    def before(self) -> int:
        """Rows before a start that it reads."""
        return self.algorithm.leading_rows(self.folder.settings().replay.window)


@dataclass(frozen=True)
class Errors:
    """Of one model's dreams of some segments."""

    label: str
    mean: np.ndarray
    """[S + 1]: by imagined step, the first of which is the start itself."""
    deviation: np.ndarray
    """[S + 1]: standard error of the mean."""
    segments: np.ndarray
    """int [S + 1]: that are so long."""


def load(paths: list[Path]) -> list[Model]:
    models = []
    for path in paths:
        folder = RunFolder.open(path)
        algorithm, _, _ = restored_algorithm(folder, device=CPU)
        if not isinstance(algorithm, ImaginingAlgorithm):
            raise SystemExit(f"{path}: {folder.settings().algorithm} imagines no observations")
        models.append(Model(f"{folder.settings().algorithm} ({path.name})", folder, algorithm))
    if any(model.algorithm.spec != models[0].algorithm.spec for model in models):
        raise SystemExit("the runs are not of the same world")
    return models


def play(model: Model, *, episodes: int, seed: int, longest: int) -> Replay:
    """What the policy of a run met in so many episodes, one beside the other, and what of the next ones it began."""
    settings = model.folder.settings()
    world = make_environment(settings, CATALOGUE_ONLY.of(model.folder.source), count=episodes)
    try:
        # Rows of whole windows, whatever the models read; no columns, as nobody learns here.
        kept = settings.replay.model_copy(update={"capacity": 10**6, "window": longest})
        replay = Replay(kept, world.spec, copies=episodes)
        collector = Collector(world, model.algorithm.behaviour(), replay, seed=seed, device=CPU)
        collector.collect(world.spec.episode_limit, model.algorithm.behaviour())
        collector.commit()
        return replay
    finally:
        world.close()


@torch.no_grad()
def dreamt(model: Model, batch: Batch, *, before: int, horizon: int, seed: int) -> Tensor:
    """What agents would observe, [S + 1, M, N, D], when they do what was done."""
    rows, seen = slice(before - model.before, None), led_up_to(batch, before)
    seen = Batch(
        window=seen.window.each(lambda tensor: tensor[rows]),
        index=seen.index.at(rows),
        weight=seen.weight,
        inside=seen.inside[rows],
        age=seen.age,
    )
    draws = RandomDraws(torch.Generator().manual_seed(seed))
    rollout = model.algorithm.imagine_after(seen, draws, horizon=horizon, actions=taken(batch, before))
    return model.algorithm.reconstructed(rollout)


def compare(models: list[Model], replays: list[Replay], *, segments: int, horizon: int, seed: int) -> list[Errors]:
    """Errors of every model on the same segments, as many of each replay."""
    before = max(model.before for model in models)
    found: dict[str, list[Tensor]] = {label: [] for label in [*(model.label for model in models), STILL]}
    counted = []
    random = np.random.default_rng(seed)
    for replay in replays:
        wanted = segments // len(replays)
        while wanted:
            batch = replay.futures(random, batch=min(wanted, AT_ONCE), before=before, after=horizon, newest=10**9)
            if batch is None:
                raise SystemExit("no episode went on for long enough to imagine it")
            real = batch.window.observation[before:]  # [S + 1, M, N, D]
            # An agent that is out observes nothing that a model could miss.
            alive = batch.inside[before:, :, None] & ~batch.window.terminated[before:]
            counted.append(alive)
            for model in models:
                dream = dreamt(model, batch, before=before, horizon=horizon, seed=seed + wanted)
                found[model.label].append((dream - real).abs().mean(-1))
            found[STILL].append((real[:1] - real).abs().mean(-1))
            wanted -= min(wanted, real.shape[1])
    return [_errors(label, torch.cat(parts, dim=1), torch.cat(counted, dim=1)) for label, parts in found.items()]


def _errors(label: str, errors: Tensor, alive: Tensor) -> Errors:
    """Means over segments of means over the agents that are alive, of errors [S + 1, M, N]."""
    agents = alive.sum(-1)
    each = (errors * alive).sum(-1) / agents.clamp(min=1)  # [S + 1, M]
    there = agents > 0
    count = there.sum(1)
    mean = (each * there).sum(1) / count
    spread = (((each - mean[:, None]).square() * there).sum(1) / (count - 1).clamp(min=1)).sqrt()
    return Errors(label, mean.numpy(), (spread / count.sqrt()).numpy(), count.numpy())


def write(found: list[Errors], folder: Path, *, title: str) -> None:
    """`dream_error.csv` and `dream_error.png`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from heliograph.display import PALETTE

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dream_error.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["model", "step", "error", "its_standard_error", "segments"])
        for each in found:
            for step, numbers in enumerate(zip(each.mean, each.deviation, each.segments, strict=True)):
                rows.writerow([each.label, step, f"{numbers[0]:.5g}", f"{numbers[1]:.3g}", int(numbers[2])])
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, each in enumerate(found):
        still = each.label == STILL
        colour = "0.6" if still else PALETTE[place % len(PALETTE)]
        steps = np.arange(len(each.mean))
        axes.plot(steps, each.mean, "--" if still else "-", color=colour, label=each.label)
        axes.fill_between(
            steps, each.mean - each.deviation, each.mean + each.deviation, color=colour, alpha=0.15, linewidth=0
        )
    axes.set_xlabel("imagined steps")
    axes.set_ylabel("absolute error per dimension")
    axes.set_ylim(bottom=0)
    axes.grid(color="0.92", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.suptitle(title)
    figure.savefig(folder / "dream_error.png", dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--episodes", type=int, default=10, help="that each final policy plays at once")
    parser.add_argument("--segments", type=int, default=1000, help="of all episodes together")
    parser.add_argument("--horizon", type=int, help="imagined steps (default: as far as all of the models can)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("dream-error"))
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(namespace.seed)
    models = load(namespace.runs)
    reach = [model.algorithm.longest_rollout or model.algorithm.learning.horizon for model in models]
    horizon = min(reach) if namespace.horizon is None else namespace.horizon
    longest = max(model.before for model in models) + horizon + 1
    replays = [
        play(model, episodes=namespace.episodes, seed=namespace.seed + place, longest=longest)
        for place, model in enumerate(models)
    ]
    found = compare(models, replays, segments=namespace.segments, horizon=horizon, seed=namespace.seed)
    title = f"{models[0].algorithm.spec.id}: {namespace.segments} segments of {namespace.episodes} episodes of each"
    write(found, namespace.out, title=title)
    output = console()
    for each in found:
        shown = "  ".join(f"{value:.4f}" for value in each.mean)
        output.print(f"{each.label:32} after 0 to {horizon} steps: {shown}")
    output.print(f"written to {namespace.out}: dream_error.csv, dream_error.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
