"""What MAG's planning costs an imagination, and what it does to the error that adds up along one.

    python benchmarks/planning.py cost [--presets mag-smax-3m-cpu mag-smax-3m] [--rows 64] [--repeats 7] [--json FILE]
    python benchmarks/planning.py error RUN [--length 14] [--updates 400] [--rows 512] [--to FOLDER]

`cost` times dreams with and without planning, in turns in one process, beside the same planning with one of its savings
taken away; ratios are medians over the repeats, in CPU seconds of one thread.

`error` takes the networks and the replay of a run of MAG or MAMBA and writes `model_error.csv` and `model_error.png`:
the predicted model error, added up along dreams from the same start states, without planning and with it (Wu et al.
2023, figure 3, whose measure is the predictor that planning itself goes by).  Whoever picks the least of noisy numbers
finds them less than they are, so a second predictor, freshly trained and never asked while planning, judges as well.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from three_marines import AGENTS, three_marines

from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.mag.mag import Mag
from trainer.experience.replay import Replay
from trainer.nets.means import Means
from trainer.policy.draws import RandomDraws
from trainer.training.preset import load_settings
from trainer.training.restored import restored_algorithm, restored_replay
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings
from trainer.world_model.imagination import Imagination, JointStates, Outlook, Predict, roll_out
from trainer.world_model.planning import Planning

CPU = torch.device("cpu")


def untrained(preset: str) -> Mag:
    """The networks of a preset."""
    settings = load_settings(preset, [])
    torch.manual_seed(0)
    return Mag(settings.mamba, settings.mag, three_marines(), device=CPU)


def arrangements(algorithm: Mag, world: Imagination) -> dict[str, Predict]:
    """Ways to find the next states: MAMBA's, MAG's, and MAG's without one of its savings."""
    planning = algorithm.predict_by(world)
    assert isinstance(planning, Planning)
    alone = planning.settings.model_copy(update={"candidates": 1})
    candidates = planning.settings.candidates

    def one_after_another(outlook: Outlook) -> JointStates:
        single = Planning(world=world, error=planning.error, settings=alone)
        return [single(outlook) for _ in range(candidates)][-1]

    def first_transition_of_each(outlook: Outlook) -> JointStates:
        states = world.predict(outlook.copies(candidates - 1))
        world.transition(states, torch.zeros_like(states.ids[..., 0]))
        return planning(outlook)

    def policy_once_more(outlook: Outlook) -> JointStates:
        chosen = planning(outlook)
        world.decide(chosen)
        return chosen

    def with_a_graph(outlook: Outlook) -> JointStates:
        with torch.enable_grad():
            return planning(outlook)

    return {
        "MAMBA": world.predict,
        "MAG": planning,
        "candidates one after another": one_after_another,
        "a first transition for each candidate": first_transition_of_each,
        "the chosen state's policy once more": policy_once_more,
        "with a graph": with_a_graph,
    }


def cost(presets: list[str], *, rows: int, repeats: int) -> list[dict[str, Any]]:
    """CPU seconds of every arrangement, and their ratios to MAMBA's dream of the same repeat."""
    results = []
    for preset in presets:
        algorithm = untrained(preset)
        sizes, planning = algorithm.settings.model, algorithm.planning
        start = JointStates(
            ids=torch.randint(sizes.classes, (rows, AGENTS, sizes.categoricals)),
            deter=torch.randn(rows, AGENTS, sizes.recurrent),
            hears=None,
        )
        world = algorithm.imagination()
        ways = arrangements(algorithm, world)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            for name, predict in ways.items():
                began = time.process_time()
                roll_out(world, start, predict=predict)
                if repeat:  # the first warms up
                    seconds[name].append(time.process_time() - began)
        print(
            f"{preset}: hidden {sizes.hidden}, {rows} start states, {world.settings.horizon} imagined steps, "
            f"L {planning.candidates}, H {planning.horizon}"
        )
        for name, values in seconds.items():
            ratios = [value / base for value, base in zip(values, seconds["MAMBA"], strict=True)]
            result = {
                "preset": preset,
                "arrangement": name,
                "cpu_s": statistics.median(values),
                "ratio": statistics.median(ratios),
                "ratio_least": min(ratios),
                "ratio_most": max(ratios),
            }
            results.append(result)
            print(
                f"  {name:40} {result['cpu_s']:7.3f} s   x {result['ratio']:5.1f}  "
                f"({result['ratio_least']:.1f} to {result['ratio_most']:.1f})",
                flush=True,
            )
    return results


@dataclass(frozen=True, kw_only=True)
class Accumulated:
    """Predicted model error along dreams, summed up to each imagined step."""

    predictor: str
    """Whose prediction: the planner's own, or the judge's."""
    planning: str
    """How states are chosen: row, batch, or none."""
    total: np.ndarray
    """[T, M]."""
    continuation: np.ndarray
    """[T]: mean probability that the imagined episode goes on.  Ends are easy to predict, so planning may seek them."""

    def less_than(self, other: Accumulated) -> tuple[np.ndarray, np.ndarray]:
        """By how much less error has added up here, mean and standard error over the start states, [T] each."""
        difference = other.total - self.total
        return difference.mean(1), difference.std(1) / np.sqrt(difference.shape[1])


def mag_of(restored: Dreamer, settings: TrainSettings, *, predictor: bool) -> Mag:
    """The networks of a run; without its `predictor`, or if it has none, one that has learned nothing."""
    made = Mag(settings.mamba, settings.mag, restored.spec, device=CPU)
    for name, module in restored.modules().items():
        if predictor or name != "error_predictor":
            made.modules()[name].load_state_dict(module.state_dict())
    return made


def learn(algorithm: Mag, replay: Replay, *, updates: int, seed: int) -> torch.nn.Module:
    """The error predictor after so many updates."""
    random = np.random.default_rng(seed)
    for _ in range(updates):
        algorithm.update_predictor(replay.sample(random).window, Means())
    return algorithm.error_predictor


def middles(algorithm: Mag, replay: Replay, *, rows: int) -> JointStates:
    """Posterior states in the middle of windows, which have seen messages."""
    random, parts = np.random.default_rng(1), []
    while sum(len(part.ids) for part in parts) < rows:
        window = replay.sample(random).window
        posteriors = algorithm.model.observe(window, RandomDraws().latent)
        middle, hears = len(posteriors.ids) // 2, algorithm.model.held(window)
        if hears is None:
            hears = torch.ones(*window.present.shape, algorithm.spec.agents, dtype=torch.bool)
        parts.append(JointStates(ids=posteriors.ids[middle], deter=posteriors.deter[middle], hears=hears[middle]))
    together = {name: torch.cat([getattr(part, name) for part in parts])[:rows] for name in ("ids", "deter", "hears")}
    return JointStates(**together)


@torch.no_grad()
def error(path: Path, *, length: int, updates: int, rows: int) -> list[Accumulated]:
    """Accumulated errors of dreams from the same start states, by predictor and by how states are chosen."""
    folder = RunFolder.open(path)
    restored, _, _ = restored_algorithm(folder, device=CPU)
    replay = restored_replay(folder, restored)
    torch.manual_seed(0)
    algorithm, other = (mag_of(restored, folder.settings(), predictor=predictor) for predictor in (True, False))
    with torch.enable_grad():
        if not isinstance(restored, Mag):
            learn(algorithm, replay, updates=updates, seed=2)
        judge = learn(other, replay, updates=updates, seed=3)
    start = middles(algorithm, replay, rows=rows)
    policy = algorithm.settings.policy.model_copy(update={"horizon": length})
    world = Imagination(model=algorithm.model, actor=algorithm.actor, settings=policy, draws=RandomDraws())
    results = []
    for name in ("none", "row", "batch"):
        plan = algorithm.planning.model_copy(update={"select": "row" if name == "none" else name})
        planned = Planning(world=world, error=algorithm.predicted_error, settings=plan)
        torch.manual_seed(2)
        dream = roll_out(world, start, predict=world.predict if name == "none" else planned)
        for by, predictor in (("planner", algorithm.error_predictor), ("judge", judge)):
            each = predictor(dream.features[0][1:], dream.features[1][1:]).mean((-1, -2))  # [T, M]
            results.append(
                Accumulated(
                    predictor=by,
                    planning=name,
                    total=each.cumsum(0).numpy(),
                    continuation=dream.continuation.mean((1, 2)).numpy(),
                )
            )
    return results


def write(found: list[Accumulated], folder: Path, *, title: str) -> None:
    """`model_error.csv` and `model_error.png`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from trainer.training.curve import COLOURS

    folder.mkdir(parents=True, exist_ok=True)
    baseline = {each.predictor: each for each in found if each.planning == "none"}
    with (folder / "model_error.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        columns = ("accumulated_error", "less_than_without", "its_standard_error", "continuation")
        rows.writerow(["predictor", "planning", "steps", *columns])
        for each in found:
            values = (each.total.mean(1), *each.less_than(baseline[each.predictor]), each.continuation)
            for step, numbers in enumerate(zip(*values, strict=True), start=1):
                rows.writerow([each.predictor, each.planning, step, *(f"{number:.5g}" for number in numbers)])
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    sums, differences = figure.subplots(1, 2)
    steps = np.arange(1, len(found[0].total) + 1)
    for each in found:
        line = "-" if each.predictor == "planner" else "--"
        colour = COLOURS[("none", "row", "batch").index(each.planning)]
        label = f"{'MAMBA' if each.planning == 'none' else f'MAG, by {each.planning}'}, told by the {each.predictor}"
        sums.plot(steps, each.total.mean(1), line, color=colour, label=label)
        if each.planning != "none":
            less, spread = each.less_than(baseline[each.predictor])
            differences.plot(steps, less, line, color=colour)
            differences.fill_between(steps, less - spread, less + spread, color=colour, alpha=0.15, linewidth=0)
    sums.set_ylabel("accumulated model error")
    differences.set_ylabel("MAMBA's minus MAG's")
    differences.axhline(0, color="0.6", linewidth=0.8)
    for axes in (sums, differences):
        axes.set_xlabel("imagined steps")
        axes.grid(color="0.92", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    sums.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    figure.savefig(folder / "model_error.png", dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    costs = parts.add_parser("cost")
    costs.add_argument("--presets", nargs="+", default=["mag-smax-3m-cpu", "mag-smax-3m"])
    costs.add_argument("--rows", type=int, default=64)
    costs.add_argument("--repeats", type=int, default=7)
    costs.add_argument("--json", type=Path)
    errors = parts.add_parser("error")
    errors.add_argument("run", type=Path)
    errors.add_argument("--length", type=int, default=14)
    errors.add_argument("--updates", type=int, default=400, help="of each predictor that is trained here")
    errors.add_argument("--rows", type=int, default=512)
    errors.add_argument("--to", type=Path, default=Path())
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    if namespace.part == "cost":
        results = cost(namespace.presets, rows=namespace.rows, repeats=namespace.repeats)
        if namespace.json:
            namespace.json.write_text(json.dumps(results, indent=2) + "\n")
        return 0
    found = error(namespace.run, length=namespace.length, updates=namespace.updates, rows=namespace.rows)
    settings = RunFolder.open(namespace.run).settings()
    write(
        found, namespace.to, title=f"{settings.environment.id}: L {settings.mag.candidates}, H {settings.mag.horizon}"
    )
    for each in found:
        marks = [0, 1, len(each.total) // 2, -1]
        shown = "  ".join(f"{value:8.2f}" for value in each.total.mean(1)[marks])
        print(
            f"{each.predictor:8} planning {each.planning:6} after 1, 2, half, all steps: {shown}   "
            f"goes on {each.continuation.mean():.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
