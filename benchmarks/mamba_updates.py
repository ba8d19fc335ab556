"""What MAMBA's updates cost on the shapes of its paper: seconds, FLOPs, dispatched operators and peak memory.

    python benchmarks/mamba_updates.py [--shapes smac flatland] [--threads 1 2] [--repeats 3] [--json FILE]

Every case runs in a process of its own.  The machine's matrix-product roof is measured in the same run, before and
after, because the figures of the authors' released code (below) were taken on a machine of 60 GFLOP/s on one thread
and 135 on two; "scaled" is our time on a machine of that speed: seconds x our roof / their roof.
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
AUTHORS_ROOF = {1: 60.0, 2: 135.0}


def matrix_roof_gflops() -> float:
    """Best of several products of 1536 x 1536 float32 matrices."""
    import torch

    size = 1536
    left, right = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(12):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def measure(shape: str, threads: int, repeats: int, part: str) -> dict[str, Any]:
    """One case, in this process: the world-model update ("model") or an actor-critic round ("round")."""
    import numpy as np
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    from heliograph.environments.vector import EnvironmentSpec
    from trainer.mamba import Mamba
    from trainer.mamba_settings import MambaSettings
    from trainer.means import Means
    from trainer.process import keep_freed_memory
    from trainer.world_model.window import Window

    class Operators(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            Operators.count += 1
            return function(*args, **(kwargs or {}))

    torch.set_num_threads(threads)
    keep_freed_memory()
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
        else (lambda: algorithm.update_policy(window, metrics))
    )
    roof_before = matrix_roof_gflops()
    if part == "model":
        run()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    roof = (roof_before + matrix_roof_gflops()) / 2
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=["smac"])
    parser.add_argument("--parts", nargs="+", choices=["model", "round"], default=["model", "round"])
    parser.add_argument("--threads", nargs="+", type=int, choices=sorted(AUTHORS_ROOF), default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    namespace = parser.parse_args()
    if namespace.case:
        shape, part, threads = namespace.case.split(",")
        print(json.dumps(measure(shape, int(threads), namespace.repeats, part)))
        return 0
    results = []
    for shape in namespace.shapes:
        for part in namespace.parts:
            for threads in namespace.threads:
                repeats = namespace.repeats if part == "model" else 1
                command = [sys.executable, __file__, "--case", f"{shape},{part},{threads}", "--repeats", str(repeats)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                theirs = AUTHORS[shape][part][threads - 1]
                scaled = found["seconds"] * found["roof_gflops"] / AUTHORS_ROOF[threads]
                found |= {
                    "shape": shape,
                    "part": part,
                    "threads": threads,
                    "authors_s": theirs,
                    "ratio": scaled / theirs,
                }
                results.append(found)
                print(
                    f"{shape:8} {part:5} {threads} thread(s): {found['seconds']:7.2f} s "
                    f"(scaled {scaled:7.2f} s, authors {theirs:6.1f} s, ratio {found['ratio']:.2f})  "
                    f"{found['gflop']:7.1f} GFLOP (authors {AUTHORS[shape]['gflop'][part == 'round']:.0f})  "
                    f"{found['operators']:6} operators  peak {found['peak_gib']:.2f} GiB "
                    f"(authors {AUTHORS[shape]['gib']})  roof {found['roof_gflops']:.0f} GFLOP/s",
                    flush=True,
                )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
