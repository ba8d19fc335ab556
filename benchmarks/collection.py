"""What collecting costs on top of the simulator: steps per second of the collector, and of the simulator alone.

    python benchmarks/collection.py [--environments relay flatland-5 smax-3m] [--repeats 7] [--workers 1 2] [--json F]

Both play the same episodes with the same random legal actions, in turn, in short slices.  `bare` is the least loop
around the vectorised environment; the collector does what it does in training (states of the teams, tensors, replay)
with a policy that draws at random.  In one process the rates are per second of CPU time, of all threads together, so
that other load on the machine does not count; with workers they are per second of wall time.  Rates are medians of the
slices, ratios medians of the slices' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.environments import registry
from heliograph.environments.vector import VectorEnvironment
from heliograph.seeds import episode_seed
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings

SETUPS = {"relay": (32, 4000), "flatland-5": (8, 400), "smax-3m": (32, 400)}
"""Copies, and steps of every copy in a slice."""
OTHERS = (8, 400)
STEPS_PER_ITERATION = 50
"""Of every copy, after which its rows go into replay."""


class RandomActions:
    """Uniform among the legal actions; the same numbers again for the same seed."""

    def __init__(self, *, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        # Not quite 0, or an illegal action would do as well.
        return ((self._random.random(mask.shape, dtype=np.float32) + 1e-7) * mask).argmax(-1)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """The state of a team that remembers nothing."""


class RandomActor:
    """The same as an `Actor` of the trainer."""

    def __init__(self, *, seed: int) -> None:
        self._actions = RandomActions(seed=seed)

    def initial_state(self, copies: int) -> Nothing:
        return Nothing()

    def act(self, state: Nothing, *, action_mask: torch.Tensor, **_: Any) -> tuple[torch.Tensor, Nothing]:
        return torch.from_numpy(self._actions(action_mask.numpy())), state


class Bare:
    """The least loop that plays episodes."""

    def __init__(self, environment: VectorEnvironment, *, seed: int) -> None:
        self._environment, self._seed, self._actions = environment, seed, RandomActions(seed=seed)
        self._episodes = 0
        self._mask = self._begin(np.arange(environment.count))

    def play(self, steps: int) -> None:
        for _ in range(steps):
            transition = self._environment.step(self._actions(self._mask))
            over = np.flatnonzero(transition.over)
            self._mask = self._begin(over) if over.size else transition.agent_inputs.action_mask

    def _begin(self, copies: np.ndarray) -> np.ndarray:
        numbers = range(self._episodes, self._episodes + copies.size)
        self._episodes += copies.size
        seeds = np.array([episode_seed(run_seed=self._seed, episode=number) for number in numbers])
        return self._environment.reset(seeds, copies).action_mask


def collecting(environment: VectorEnvironment, *, seed: int) -> Callable[[int], None]:
    """What plays a slice with the collector."""
    actor = RandomActor(seed=seed)
    replay = Replay(ReplaySettings(capacity=20_000), environment.spec, copies=environment.count)
    collector = Collector(environment, actor, replay, seed=seed, device=torch.device("cpu"))

    def play(steps: int) -> None:
        for _ in range(steps // STEPS_PER_ITERATION):
            collector.collect(STEPS_PER_ITERATION, actor)
            collector.commit()

    return play


def measure(name: str, *, repeats: int, workers: list[int]) -> list[dict[str, Any]]:
    copies, steps = SETUPS.get(name, OTHERS)
    environments = {"bare": registry.make(name, count=copies)}
    environments["collector"] = registry.make(name, count=copies)
    for number in workers:
        environments[f"collector, {number} workers"] = registry.make(name, count=copies, workers=number)
    players = {
        label: Bare(made, seed=0).play if label == "bare" else collecting(made, seed=0)
        for label, made in environments.items()
    }
    cpu: dict[str, list[float]] = {label: [] for label in players}
    wall: dict[str, list[float]] = {label: [] for label in players}
    for repeat in range(1 + repeats):
        # In turn forwards and backwards, so that none profits from what runs before it; the first slice warms up.
        for label, play in list(players.items())[:: 1 if repeat % 2 else -1]:
            began = time.process_time(), time.perf_counter()
            play(steps)
            if repeat:
                cpu[label].append(copies * steps / (time.process_time() - began[0]))
                wall[label].append(copies * steps / (time.perf_counter() - began[1]))
    for made in environments.values():
        made.close()
    rows = []
    for label in players:
        rates, base = (wall, "collector") if label.endswith("workers") else (cpu, "bare")
        ratios = [mine / theirs for mine, theirs in zip(rates[label], rates[base], strict=True)]
        rows.append(
            {
                "environment": name,
                "copies": copies,
                "what": label,
                "steps_per_s": statistics.median(rates[label]),
                "of": f"{base}, {'wall' if rates is wall else 'CPU'} time",
                "ratio": statistics.median(ratios),
                "ratios": ratios,
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", nargs="+", default=list(SETUPS))
    parser.add_argument("--repeats", type=int, default=7, help="slices of each")
    parser.add_argument("--workers", nargs="*", type=int, default=[1, 2], help="where the environment takes them")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    print(f"{'environment':12} {'copies':>6} {'':22} {'steps/s':>9} {'ratio':>6}  of", flush=True)
    for name in namespace.environments:
        workers = [] if registry.CATALOGUE[name].steps_at_once else namespace.workers
        for row in measure(name, repeats=namespace.repeats, workers=workers):
            results.append(row)
            print(
                f"{row['environment']:12} {row['copies']:6} {row['what']:22} {row['steps_per_s']:9.0f} "
                f"{row['ratio']:6.2f}  {row['of']}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
