"""`heliograph export`: bundles of a run's newest networks or of a snapshot, once more or elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.cli import Command, keep_old_name
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.output_arguments import check_output_folder, output_folder
from trainer.commands.extra import trainer_extra


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    out = parser.add_argument(
        "--out", type=output_folder, metavar="FOLDER", help="for agent-0 ... agent-(N-1); default: RUN/bundles"
    )
    keep_old_name(parser, "--to", out)
    parser.add_argument(
        "--snapshot",
        metavar="STEPS",
        help="networks as they were at an evaluation on the way: after so many steps, or 'best' for those that "
        "scored highest, the newest ones among them; default: the newest",
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
    target = namespace.out or folder.bundles
    if namespace.out is None:
        check_output_folder(target)
    import torch

    from trainer.export.bundles import export_team
    from trainer.export.tables import learned_tables
    from trainer.training.restored import chosen_algorithm, restored_replay

    algorithm, spec, chosen = chosen_algorithm(
        folder, namespace.snapshot, device=torch.device("cpu"), permission=permission_of(namespace)
    )
    if namespace.snapshot is not None:
        print(chosen.in_words(), file=sys.stderr)
    paths = export_team(
        algorithm,
        spec,
        target,
        run_id=folder.run_id,
        training_step=chosen.env_steps,
        tables=learned_tables(algorithm, restored_replay(folder, algorithm)),
        suffix=".tar" if namespace.tar else "",
        signing_key=key,
    )
    print("\n".join(str(path) for path in paths))
    return 0


COMMAND = Command(summary="export a trained run's bundles, one per agent", configure=configure, run=run)
