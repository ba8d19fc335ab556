"""What MAMBA's updates cost on the shapes of its paper: seconds, FLOPs, dispatched operators and peak memory.

    python benchmarks/mamba_updates.py [--shapes smac flatland] [--threads 1 2] [--repeats 3] [--json FILE]

Every case runs in a process of its own, and beside each of ours runs the same case in the *published arrangement* on
the same machine: one-hots multiplied instead of rows gathered, the imagined transition computed a second time for its
reward.  Its FLOPs come out within a tenth of those counted in the authors' released code, whose seconds, taken on
another machine (60 GFLOP/s on one thread, 135 on two), are printed too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from matrix_roof import matrix_roof_gflops

SHAPES: dict[str, dict[str, Any]] = {
    "smac": {"hidden": 256, "recurrent": 256, "rows": 20, "agents": 3, "observation": 30, "actions": 9, "masks": True},
    "flatland": {"hidden": 400, "recurrent": 600, "rows": 50, "agents": 5, "observation": 205, "actions": 3},
}
BATCH = 40
AUTHORS: dict[str, dict[str, Any]] = {
    # The released code, commit 2c97258: seconds on one and on two threads (midpoints of the observed ranges),
    # GFLOP, operators, peak GiB.
    "smac": {"model": (1.65, 1.1), "round": (29.0, 19.5), "gflop": (60.7, 1486.0), "operators": 16_700, "gib": 3.0},
    "flatland": {
        "model": (13.6, 7.5),
        "round": (340.0, 210.0),
        "gflop": (589.0, 13_660.0),
        "operators": 40_400,
        "gib": 9.7,
    },
}


def arrange_as_published() -> None:
    """From here on multiply one-hots, and compute every imagined transition twice, as the released code does."""
    import torch
    from torch.nn import functional

    from trainer.algorithms.dreamer import dreamer
    from trainer.nets.latent import LatentLinear
    from trainer.world_model.imagination import JointStates

    def multiply(layer: LatentLinear, ids: torch.Tensor, probabilities: torch.Tensor | None = None) -> torch.Tensor:
        one_hot = functional.one_hot(ids, layer.classes).to(layer.table.dtype)
        if probabilities is not None:
            one_hot = one_hot + probabilities - probabilities.detach()
        return one_hot.flatten(-2) @ layer.table

    once = dreamer.imagine

    def twice(world, start, *, predict):  # type: ignore[no-untyped-def]
        dream = once(world, start, predict=predict)
        with torch.no_grad():
            for step in range(dream.action.shape[0]):
                states = JointStates(ids=dream.features[0][step], deter=dream.features[1][step], hears=start.hears)
                predict(world.transition(states, dream.action[step]))
        return dream

    LatentLinear.gather = multiply  # type: ignore[method-assign]
    dreamer.imagine = twice


def measure(shape: str, threads: int, repeats: int, part: str, *, published: bool) -> dict[str, Any]:
    """One case, in this process: the world-model update ("model") or an actor-critic round ("round")."""
    import numpy as np
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    from heliograph.environments.vector import EnvironmentSpec
    from trainer.algorithms.mamba.mamba import Mamba
    from trainer.algorithms.mamba.settings import MambaSettings
    from trainer.experience.window import Window
    from trainer.nets.means import Means

    class Operators(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            Operators.count += 1
            return function(*args, **(kwargs or {}))

    torch.set_num_threads(threads)
    if published:
        arrange_as_published()
    sizes = SHAPES[shape]
    spec = EnvironmentSpec(
        id=shape,
        agents=sizes["agents"],
        observation_size=sizes["observation"],
        actions=sizes["actions"],
        episode_limit=100,
        complete_graph=True,
        outcome="won",
        has_action_mask=sizes.get("masks", False),
    )
    settings = MambaSettings.model_validate({"model": {"hidden": sizes["hidden"], "recurrent": sizes["recurrent"]}})
    torch.manual_seed(0)
    algorithm = Mamba(settings, spec, device=torch.device("cpu"))
    shape_ = (sizes["rows"] - 1, BATCH, sizes["agents"])
    generator = torch.Generator().manual_seed(1)
    window = Window(
        observation=torch.rand((*shape_, sizes["observation"]), generator=generator),
        action_mask=torch.ones((*shape_, sizes["actions"]), dtype=torch.bool),
        hears=None,
        present=torch.ones(shape_, dtype=torch.bool),
        first=torch.zeros(shape_[:2], dtype=torch.bool),
        action=torch.randint(sizes["actions"], shape_, generator=generator),
        reward=torch.rand(shape_, generator=generator),
        terminated=torch.zeros(shape_, dtype=torch.bool),
    )
    metrics = Means()
    run = (
        (lambda: algorithm.update_model(window, metrics))
        if part == "model"
        else (lambda: algorithm.learn_policy(algorithm.imagine_from(window), metrics))
    )
    roof_before = matrix_roof_gflops(time.perf_counter, repeats=12)
    if part == "model":
        run()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    roof = (roof_before + matrix_roof_gflops(time.perf_counter, repeats=12)) / 2
    flops = FlopCounterMode(display=False)
    if part == "model" or shape == "smac":
        with flops, Operators():
            run()
    return {
        "seconds": statistics.median(seconds),
        "roof_gflops": roof,
        "gflop": flops.get_total_flops() / 1e9,
        "operators": Operators.count,
        "peak_gib": peak_gib,
        "finite": bool(np.isfinite(list(metrics.result().values())).all()),
    }


def case(shape: str, part: str, threads: int, arrangement: str, repeats: int) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    name = f"{shape},{part},{threads},{arrangement}"
    command = [sys.executable, __file__, "--case", name, "--repeats", str(repeats)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found | {"shape": shape, "part": part, "threads": threads, "arrangement": arrangement}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=["smac"])
    parser.add_argument("--parts", nargs="+", choices=["model", "round"], default=["model", "round"])
    parser.add_argument("--threads", nargs="+", type=int, choices=[1, 2], default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    namespace = parser.parse_args()
    if namespace.case:
        shape, part, threads, arrangement = namespace.case.split(",")
        found = measure(shape, int(threads), namespace.repeats, part, published=arrangement == "published")
        print(json.dumps(found))
        return 0
    results = []
    for shape in namespace.shapes:
        for part in namespace.parts:
            for threads in namespace.threads:
                repeats = namespace.repeats if part == "model" else 1
                ours, published = (
                    case(shape, part, threads, arrangement, repeats) for arrangement in ("ours", "published")
                )
                ratio = ours["seconds"] / published["seconds"]
                results.append({"ours": ours, "published": published, "ratio": ratio})
                authors = AUTHORS[shape]
                print(
                    f"{shape} {part}, {threads} thread(s): {ours['seconds']:.2f} s, published arrangement "
                    f"{published['seconds']:.2f} s, ratio {ratio:.2f}  "
                    f"(authors elsewhere {authors[part][threads - 1]} s)\n"
                    f"    {ours['gflop']:.1f} GFLOP, published {published['gflop']:.1f}, authors "
                    f"{authors['gflop'][part == 'round']:.0f};  {ours['operators']} operators, published "
                    f"{published['operators']}, authors {authors['operators']} per model update\n"
                    f"    peak {ours['peak_gib']:.2f} GiB, published {published['peak_gib']:.2f}, authors "
                    f"{authors['gib']};  roof {ours['roof_gflops']:.0f} GFLOP/s",
                    flush=True,
                )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
