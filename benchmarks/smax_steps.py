"""Environment steps per second of the SMAX adapter, beside the simulator's own compiled step, in one process.

    python benchmarks/smax_steps.py [--scenarios 3m 8m 2s3z] [--copies 32] [--repeats 7] [--seconds 1.0] [--json FILE]

`bare` is jaxmarl's step_env and its action masks, vmapped and compiled, under the same random legal actions, with no
battle ever begun again; `restarting` is the same with jaxmarl's own step, which begins a battle anew when it ends;
`adapter` is `SmaxEnvironment.step` and, as battles end, `reset`, all results in numpy.  They take turns in slices after
a warm-up that compiles all, so that other load on the machine hits them alike: read the ratios, which are medians of
the slices' ratios.  A step counts once for every copy.

XLA runs a small step on all cores without gaining by it.  NPROC=1 in the environment holds it to one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.environments import registry
from heliograph.environments.smax.scenarios import SCENARIOS

WARM_UP_STEPS = 20


def legal(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Random legal actions int32 [E, N]."""
    return (random.random(mask.shape, dtype=np.float32) * mask).argmax(-1).astype(np.int32)


def adapter(scenario: str, copies: int) -> tuple[Callable[[], Any], float]:
    """A function that steps our environment, and how long loading jax and compiling took."""
    environment = registry.make(f"smax-{scenario}", count=copies)
    random = np.random.default_rng(0)
    began = time.perf_counter()
    agent_inputs = environment.reset(np.arange(copies))
    compiled_s = time.perf_counter() - began
    next_seed = copies

    def step() -> None:
        nonlocal agent_inputs, next_seed
        transition = environment.step(legal(agent_inputs.action_mask, random))
        agent_inputs = transition.agent_inputs
        over = np.flatnonzero(transition.over)
        if over.size:
            agent_inputs = environment.reset(np.arange(next_seed, next_seed + over.size), over)
            next_seed += over.size

    return step, compiled_s


def bare(scenario: str, copies: int, *, restarting: bool) -> Callable[[], Any]:
    """A function that steps jaxmarl's environment."""
    import jax
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

    game = HeuristicEnemySMAX(scenario=map_name_to_scenario(scenario))
    random = np.random.default_rng(0)
    play = game.step if restarting else game.step_env

    @jax.jit
    @jax.vmap
    def advance(key: Any, state: Any, actions: Any) -> tuple[Any, ...]:
        key, step_key = jax.random.split(key)
        told = dict(zip(game.agents, actions, strict=True))
        observation, state, reward, _, _ = play(step_key, state, told)
        masks = game.get_avail_actions(state)
        return key, state, observation, reward, jax.numpy.stack([masks[agent] for agent in game.agents])

    keys = jax.random.split(jax.random.key(0), copies)
    _, state = jax.jit(jax.vmap(game.reset))(keys)
    stop = np.full((copies, game.num_agents), game.num_movement_actions - 1, dtype=np.int32)
    keys, state, _, _, mask = advance(keys, state, stop)

    def step() -> None:
        nonlocal keys, state, mask
        keys, state, observation, _, mask = advance(keys, state, legal(np.asarray(mask), random))
        jax.block_until_ready(observation)

    return step


def slices(
    steps: dict[str, Callable[[], Any]], *, copies: int, repeats: int, seconds: float
) -> dict[str, list[dict[str, float]]]:
    """Per name one dictionary a slice: environment steps per second, by the clock and of CPU."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP_STEPS):
            step()
    for repeat in range(repeats):
        # In turn forwards and backwards, so that none profits from what runs before it.
        for name in list(steps)[:: 1 if repeat % 2 == 0 else -1]:
            played, cpu_began, began = 0, time.process_time(), time.perf_counter()
            while time.perf_counter() - began < seconds:
                steps[name]()
                played += copies
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            found[name].append({"per_s": played / wall_s, "per_cpu_s": played / cpu_s})
    return found


def measure(scenario: str, *, copies: int, repeats: int, seconds: float) -> dict[str, Any]:
    step, compiled_s = adapter(scenario, copies)
    steps = {
        "adapter": step,
        "bare": bare(scenario, copies, restarting=False),
        "restarting": bare(scenario, copies, restarting=True),
    }
    found = slices(steps, copies=copies, repeats=repeats, seconds=seconds)
    row: dict[str, Any] = {"scenario": scenario, "copies": copies, "compiled_s": compiled_s, "slices": found}
    for key in ("per_s", "per_cpu_s"):
        for name in found:
            row[f"{name}_{key}"] = statistics.median(one[key] for one in found[name])
        for name in ("bare", "restarting"):
            pairs = zip(found["adapter"], found[name], strict=True)
            row[f"{key} x {name}"] = statistics.median(ours[key] / theirs[key] for ours, theirs in pairs)
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=["3m"], metavar="NAME")
    parser.add_argument("--copies", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7, help="slices of each")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a slice")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = []
    print(
        f"{'scenario':16} {'copies':>6} {'':8} {'adapter':>8} {'bare':>8} {'restarting':>10} {'x bare':>7} "
        f"{'x restarting':>12} {'first reset s':>14} {'peak MiB':>9}",
        flush=True,
    )
    for scenario in namespace.scenarios:
        row = measure(scenario, copies=namespace.copies, repeats=namespace.repeats, seconds=namespace.seconds)
        results.append(row)
        for key, unit in (("per_s", "/s"), ("per_cpu_s", "/CPU s")):
            print(
                f"{scenario:16} {row['copies']:6} {unit:8} {row[f'adapter_{key}']:8.0f} {row[f'bare_{key}']:8.0f} "
                f"{row[f'restarting_{key}']:10.0f} {row[f'{key} x bare']:7.2f} {row[f'{key} x restarting']:12.2f} "
                f"{row['compiled_s']:14.1f} {row['peak_mib']:9.0f}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
