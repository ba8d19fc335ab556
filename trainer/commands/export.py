"""`heliograph export`: bundles of a run's newest networks or of a snapshot, once more or elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments, permission_of
from trainer.commands.extra import trainer_extra


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--to", type=Path, help="folder for agent-0 ... agent-(N-1); default: RUN/bundles")
    parser.add_argument(
        "--snapshot",
        metavar="STEPS",
        help="networks as they were at an evaluation on the way: after so many steps, or 'best' for the one that "
        "scored highest; default: the newest",
    )
    parser.add_argument(
        "--sign", type=Path, metavar="KEY", help="private key to sign with, of `heliograph certificates signing-key`"
    )
    add_permission_arguments(parser)
    parser.add_argument("--tar", action="store_true", help="write agent-0.tar ... instead of directories")


def run(namespace: argparse.Namespace) -> int:
    with trainer_extra("exporting"):
        return _export(namespace)


def _export(namespace: argparse.Namespace) -> int:
    from heliograph.certificates.signing_keys import read_signing_key
    from heliograph.run_status import warn_unless_finished
    from trainer.training.run_folder import RunFolder

    warn_unless_finished(namespace.run)
    key = None if namespace.sign is None else read_signing_key(namespace.sign)
    folder = RunFolder.open(namespace.run)
    import torch

    from trainer.export.bundles import export_team
    from trainer.export.tables import learned_tables
    from trainer.training.restored import restored_algorithm, restored_replay
    from trainer.training.snapshots import chosen_snapshot, load_snapshot

    algorithm, spec, env_steps = restored_algorithm(
        folder, device=torch.device("cpu"), permission=permission_of(namespace)
    )
    if namespace.snapshot is not None:
        policy = "sampled" if folder.settings().evaluation.sampled else "greedy"
        snapshot = chosen_snapshot(
            folder.snapshots, namespace.snapshot, history=folder.history(), measure=f"evaluate/{policy}_outcome"
        )
        env_steps = load_snapshot(snapshot, algorithm)
        print(f"networks after {env_steps} steps", file=sys.stderr)
    target = namespace.to or folder.bundles
    paths = export_team(
        algorithm,
        spec,
        target,
        run_id=folder.run_id,
        training_step=env_steps,
        tables=learned_tables(algorithm, restored_replay(folder, algorithm)),
        suffix=".tar" if namespace.tar else "",
        signing_key=key,
    )
    print("\n".join(str(path) for path in paths))
    return 0


COMMAND = Command(summary="export a trained run's bundles, one per agent", configure=configure, run=run)
