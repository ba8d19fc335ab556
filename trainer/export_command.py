"""`heliograph export`: bundles of a run's newest checkpoint, once more or elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli import Command
from trainer.extra import trainer_extra


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--to", type=Path, help="folder for agent-0 ... agent-(N-1); default: RUN/bundles")
    parser.add_argument("--tar", action="store_true", help="write agent-0.tar ... instead of directories")


def run(namespace: argparse.Namespace) -> int:
    with trainer_extra("exporting"):
        return _export(namespace)


def _export(namespace: argparse.Namespace) -> int:
    from trainer.run_folder import RunFolder

    folder = RunFolder.open(namespace.run)
    import torch

    from trainer.training import export_team, restored_algorithm

    algorithm, spec, env_steps = restored_algorithm(folder, device=torch.device("cpu"))
    target = namespace.to or folder.bundles
    paths = export_team(
        algorithm,
        spec,
        target,
        run_id=folder.run_id,
        training_step=env_steps,
        suffix=".tar" if namespace.tar else "",
    )
    print("\n".join(str(path) for path in paths))
    return 0


COMMAND = Command(summary="export a trained run's bundles, one per agent", configure=configure, run=run)
