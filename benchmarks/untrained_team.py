"""Exports the bundles of an untrained MAMBA team of the paper's size for relay; started by the benchmarks of nodes.

    python benchmarks/untrained_team.py --agents 10 --to FOLDER [--hidden 256] [--layers 3]

Nothing is learned, so it plays badly, at the full price: latents of 32 x 32 (160 bits), about 3 million parameters in
the graph at the default sizes.  One graph is traced, for slot 0, and serves all slots, since theirs differ only in a
constant vector; tracing takes seconds.  A process of its own, so that what measures nodes never loads torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

EPISODE_STEPS = 20


def export(*, agents: int, hidden: int, layers: int, to: Path) -> None:
    """Write `agent-0` … below `to`."""
    from dataclasses import replace

    import torch

    from heliograph.bundle import make
    from heliograph.environments import registry
    from trainer.algorithms.mamba.mamba import Mamba
    from trainer.algorithms.mamba.settings import MambaSettings
    from trainer.export.bundles import export_bundle

    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = registry.make("relay", count=1, parameters={"agents": agents, "length": EPISODE_STEPS}).spec
    model = {"hidden": hidden, "recurrent": hidden, "communication_layers": layers}
    algorithm = Mamba(MambaSettings.model_validate({"model": model}), spec, device=torch.device("cpu"))
    first = export_bundle(
        algorithm.step_function(0), spec=spec, slot=0, algorithm="mamba", run_id="benchmark", training_step=0
    )
    for slot in range(agents):
        bundle = make(replace(first.manifest, slot=slot), first.graph)
        bundle.save(to / f"agent-{slot}")


def exported(folder: Path, *, agents: int, hidden: int = 256, layers: int = 3) -> Path:
    """The bundles of a team below `folder`, exported by another process if they are not there."""
    target = folder / f"team-{agents}-{hidden}-{layers}"
    if not (target / f"agent-{agents - 1}").exists():
        command = [sys.executable, __file__, "--agents", str(agents), "--to", str(target)]
        command += ["--hidden", str(hidden), "--layers", str(layers)]
        subprocess.run(command, check=True, timeout=120)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    namespace = parser.parse_args()
    export(agents=namespace.agents, hidden=namespace.hidden, layers=namespace.layers, to=namespace.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
