"""What worker processes bring to MAZero's reanalysis: seconds until some batches have been searched, by their number.

    python benchmarks/reanalysis_speed.py [--workers 0 1 2] [--batches 8] [--repeats 3]

Batches are those of `mazero-smax-3m-cpu`: 64 windows of six rows, 20 simulations.  Weights are random.  0 workers: in
this process, as without any.  All are measured in turns, wall-clock, after the processes have started and searched
once.  Who asks does nothing meanwhile; in a training it makes updates of the networks, which take a core, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch
from three_marines import ACTIONS, AGENTS, OBSERVATION, three_marines

from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.search_pool import SearchPool
from trainer.algorithms.mazero.search_worker import SearchRequest, search
from trainer.nets.random_states import never
from trainer.training.preset import load_settings

PRESET = "mazero-smax-3m-cpu"
ROWS = 64 * 6


class Searched:
    """One number of workers."""

    def __init__(self, workers: int) -> None:
        spec, settings = three_marines(), load_settings(PRESET, []).mazero
        # With heads of zeros all actions would look alike, and the tree be another one.
        model = settings.model.model_copy(update={"zero_heads": False})
        reanalysis = settings.reanalysis.model_copy(update={"workers": workers})
        self.settings = settings.model_copy(update={"model": model, "reanalysis": reanalysis})
        self.model = MazeroModel(model, spec).eval()
        self.weights = {name: value.numpy() for name, value in self.model.state_dict().items()}
        self.pool = SearchPool(self.settings, spec) if workers else None
        self.seconds(workers or 1)  # all of them start

    def seconds(self, batches: int) -> float:
        """Until so many have been searched."""
        seen = torch.randn(ROWS, AGENTS, OBSERVATION).numpy()
        legal = torch.ones(ROWS, AGENTS, ACTIONS, dtype=torch.bool).numpy()
        requests = [SearchRequest(weights=None, seen=seen, legal=legal, seed=seed) for seed in range(batches)]
        began = time.perf_counter()
        if self.pool is None:
            for request in requests:
                search(self.model, request, self.settings)
        else:
            for number in [self.pool.ask(request, self.weights, version=0) for request in requests]:
                self.pool.answer(number, never)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ways = {workers: Searched(workers) for workers in arguments.workers}
    measured: dict[int, list[float]] = {workers: [] for workers in ways}
    for _ in range(arguments.repeats):
        for workers, way in ways.items():
            measured[workers].append(way.seconds(arguments.batches))
    for workers, seconds in measured.items():
        each = " ".join(f"{one:.2f}" for one in seconds)
        print(f"{workers} workers: {statistics.median(seconds):6.2f} s for {arguments.batches} batches ({each})")
    print(f"load of the machine, over 1 and 5 minutes: {os.getloadavg()[0]:.1f}, {os.getloadavg()[1]:.1f}")
    for way in ways.values():
        if way.pool is not None:
            way.pool.close()


if __name__ == "__main__":
    main()
