"""What measuring what a model imagines costs of a training: CPU seconds of both measurements beside those of updates.

    python benchmarks/imagination_cost.py [--presets relay marie-relay ...] [--iterations 3] [--json FILE]

Each preset is trained for a few iterations from the one at which its policy begins to learn (which is made the first
that updates), on one thread.  Medians, in seconds of this process's CPU time, so that other load on the machine does
not count; the shares are of collecting, updates and evaluation together, at the preset's own cadence of evaluations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trainer.algorithms.held_out import PredictingAlgorithm, measure_held_out
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.training.calibration import calibrate
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder
from trainer.training.training import Training

PRESETS = ("relay", "mag-relay", "mabl-relay", "marie-relay")
AT_ONCE = {"mamba": "mamba", "mag": "mamba", "mabl": "mabl", "marie": "marie"}
"""Section whose policy begins with the first update."""


class Nobody:
    """A `Progress` that is not told anything."""

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        pass


def cpu_s(work: Callable[[], object]) -> float:
    """Of all threads of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measured(preset: str, *, iterations: int, folder: Path) -> dict[str, float]:
    """Medians of an iteration's parts in CPU seconds, and the shares of the two measurements."""
    section = AT_ONCE[load_settings(preset, []).algorithm]
    overrides = ["threads=1", f"{section}.policy.warm_up_updates=0", "device=cpu"]
    overrides += ["marie.model_warm_up=0"] if section == "marie" else []
    settings = load_settings(preset, overrides)
    training = Training(RunFolder.create(folder / preset, settings), Nobody(), resume=False)
    algorithm, replay = training.algorithm, training.replay
    assert isinstance(algorithm, PredictingAlgorithm)
    assert isinstance(algorithm, ImaginingAlgorithm)
    parts: dict[str, list[float]] = {"collect": [], "held_out": [], "update": [], "calibrate": []}
    while not replay.ready:
        training.feed.next()
    for iteration in range(iterations + 1):
        costs = {
            "collect": cpu_s(training.feed.next),
            "held_out": cpu_s(lambda: measure_held_out(algorithm, replay, training.device)),
            "update": cpu_s(lambda: algorithm.update(replay, training._random)),
            "calibrate": cpu_s(lambda: calibrate(algorithm, replay, seed=(0,), device=training.device)),
        }
        if iteration:  # what is done the first time is done once
            for name, cost in costs.items():
                parts[name].append(cost)
    assert training._evaluations
    evaluation = cpu_s(lambda: training._evaluations.on_the_way(algorithm.policy()))
    training.close()
    medians = {name: statistics.median(values) for name, values in parts.items()} | {"evaluation": evaluation}
    every = settings.evaluation.every
    rest = medians["collect"] + medians["update"] + medians["evaluation"] / every
    return medians | {
        "held_out_share": medians["held_out"] / rest,
        "calibrate_share": medians["calibrate"] / every / rest,
        "evaluation_every": every,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for preset in arguments.presets:
            results[preset] = measured(preset, iterations=arguments.iterations, folder=Path(folder))
            shown = "  ".join(f"{name} {value:.4g}" for name, value in results[preset].items())
            print(f"{preset:20} {shown}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
