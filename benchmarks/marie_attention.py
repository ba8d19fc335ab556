"""What a trained MARIE attends to, in one picture (appendix C of its paper).

    python benchmarks/marie_attention.py RUN [--segments 32] [--seed 0] [--out attention.png]

Segments are drawn from the run's replay, from the beginning of an episode.  Of the transformer are shown the head that
attends most to the last transition, and the one that attends most to the same place in steps before it; of the
Perceiver the head in which agents differ most and the one in which they differ least.  Shares are means over all
segments, the maps those of the first.  The figures of every head are printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from heliograph.display import console
from trainer.algorithms.marie.attention_maps import AttentionMaps, attention_maps
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.marie.segments import segments_of
from trainer.training.restored import restored_algorithm, restored_replay
from trainer.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def maps_of(path: Path, *, segments: int, seed: int) -> tuple[AttentionMaps, Marie]:
    folder = RunFolder.open(path)
    marie, _, _ = restored_algorithm(folder, device=torch.device("cpu"))
    if not isinstance(marie, Marie):
        raise SystemExit(f"{path}: {folder.settings().algorithm} has no transformer to look into")
    replay = restored_replay(folder, marie)
    window = replay.sample(np.random.default_rng(seed), batch=segments, start="first").window
    drawn = segments_of(window)
    ids = marie.tokenizer.encode(drawn.observation)
    return attention_maps(marie.model, ids, drawn.action, drawn.cut), marie


def head_of(shares: Tensor, *, largest: bool) -> tuple[int, ...]:
    """Where the largest or the least of [...] is."""
    place = int(shares.argmax() if largest else shares.argmin())
    return tuple(int(each) for each in np.unravel_index(place, tuple(shares.shape)))


def show(axes: Axes, shares: Tensor, *, title: str, block: int, rows: int | None = None) -> None:
    """A map, with a line between steps or agents: every `block` columns, and every `rows` rows."""
    axes.imshow(shares.sqrt().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for line in range(block, shares.shape[1], block):
        axes.axvline(line - 0.5, color="0.8", linewidth=0.5)
    for line in range(rows or block, shares.shape[0], rows or block):
        axes.axhline(line - 0.5, color="0.8", linewidth=0.5)
    axes.set_title(title, fontsize=9)


def draw(maps: AttentionMaps, marie: Marie, file: Path, *, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9 if maps.perceiver is not None else 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2 if maps.perceiver is not None else 1, 2)
    patterns = (("last transition", maps.to_last_transition()), ("same place, earlier", maps.to_same_place()))
    for column, (name, shares) in enumerate(patterns):
        layer, head = head_of(shares, largest=True)
        axes = figure.add_subplot(grid[0, column])
        told = f"transformer, layer {layer + 1}, head {head + 1}: {name} {float(shares[layer, head]):.2f}"
        show(axes, maps.transformer[layer, 0, head], title=told, block=maps.block)
        axes.set_xlabel("position read (a line between steps)")
        axes.set_ylabel("position")
    differences = maps.differences()
    if maps.perceiver is not None and differences is not None:
        agents, width = marie.spec.agents, maps.perceiver.shape[-1] // marie.spec.agents
        for column, (name, largest) in enumerate((("individuality", True), ("commonality", False))):
            (head,) = head_of(differences, largest=largest)
            axes = figure.add_subplot(grid[1, column])
            told = f"Perceiver, head {head + 1}: {name}, agents differ by {float(differences[head]):.2f}"
            show(axes, maps.perceiver[0, 0, head], title=told, block=width, rows=1)
            axes.set_yticks(range(agents), [f"agent {agent}" for agent in range(agents)])
            axes.set_xlabel("tokens and action of every agent (a line between agents)")
    figure.suptitle(f"{title} (root of the share of attention)")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def table(maps: AttentionMaps) -> Table:
    shown = Table(title="shares of attention", title_justify="left")
    for heading in ("layer", "head", "last transition", "same place, earlier", "agents differ"):
        shown.add_column(heading, justify="right")
    markov, stripes, differences = maps.to_last_transition(), maps.to_same_place(), maps.differences()
    for layer, head in np.ndindex(*markov.shape):
        numbers = (f"{float(shares[layer, head]):.3f}" for shares in (markov, stripes))
        shown.add_row(str(layer + 1), str(head + 1), *numbers, "")
    for head, value in enumerate([] if differences is None else differences.tolist()):
        shown.add_row("Perceiver", str(head + 1), "", "", f"{value:.3f}")
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--segments", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("attention.png"))
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    maps, marie = maps_of(namespace.run, segments=namespace.segments, seed=namespace.seed)
    console().print(table(maps))
    draw(maps, marie, namespace.out, title=f"MARIE on {marie.spec.id}, {namespace.run.name}")
    print(f"written to {namespace.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
