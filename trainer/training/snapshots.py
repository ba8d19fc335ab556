"""Snapshots: the networks alone as they were at evaluations on the way, so that every one of them can be played later.

A snapshot is a folder named by its environment steps with `tensors.safetensors` and `snapshot.json`; like a checkpoint
it appears only when it is whole.  At most so many are kept, spread evenly over the run: when there would be more, every
other one goes, and from then on every other evaluation leaves one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from heliograph.errors import CheckpointError, SettingsError
from heliograph.reading import SMALL, Unreadable, check_plain, read_json
from trainer.algorithms.interfaces import Algorithm
from trainer.training.checkpoint import put_weights, under, whole_folder

FORMAT_VERSION = 1


def save_snapshot(folder: Path, *, env_steps: int, evaluation: int, algorithm: Algorithm, limit: int) -> None:
    """Write `folder/<env_steps>` at the `evaluation`-th evaluation (from 1), or not, so that at most `limit` stay.

    Which are kept follows from the number alone, so a resumed run keeps those of the uninterrupted one.  Raises
    CheckpointError if the disk refuses.
    """
    if not limit:
        return
    stride = _stride(evaluation, limit)
    for path in saved_snapshots(folder):
        if _document(path)["evaluation"] % stride:
            shutil.rmtree(path, ignore_errors=True)
    if evaluation % stride:
        return
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, module in algorithm.modules().items()
        for key, value in module.state_dict().items()
    }
    document = {"format_version": FORMAT_VERSION, "env_steps": env_steps, "evaluation": evaluation}
    with whole_folder(folder / f"{env_steps:09d}") as partial:
        save_tensors(tensors, str(partial / "tensors.safetensors"))
        (partial / "snapshot.json").write_text(json.dumps(document))


def saved_snapshots(folder: Path) -> list[Path]:
    """Whole snapshots in a folder, oldest first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())
    return sorted(found, key=lambda path: int(path.name))


def load_snapshot(path: Path, algorithm: Algorithm) -> int:
    """Put a snapshot's networks into an algorithm; its environment steps.  Raises CheckpointError."""
    document = _document(path)
    try:
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
    except (OSError, Unreadable, SafetensorError) as error:
        raise CheckpointError(f"snapshot {path} cannot be read: {error}", remedy="Delete that folder") from error
    put_weights({name: under(tensors, f"{name}.") for name in algorithm.modules()}, algorithm, origin=path)
    return int(document["env_steps"])


def chosen_snapshot(folder: Path, choice: str, *, history: Iterable[Mapping[str, Any]], measure: str) -> Path:
    """The snapshot at `choice` environment steps, or for "best" the one whose evaluation was highest in `measure`.

    `history` are the run's records; of equals the newest wins.  Raises SettingsError if there is none.
    """
    saved = {int(path.name): path for path in saved_snapshots(folder)}
    known = f"Snapshots were kept after {', '.join(map(str, saved))} steps" if saved else "The run kept no snapshots"
    if choice != "best":
        if not choice.isdigit() or int(choice) not in saved:
            raise SettingsError(f"{folder.parent} has no snapshot {choice!r}", remedy=known)
        return saved[int(choice)]
    scores = {record["env_steps"]: record[measure] for record in history if measure in record}
    judged = [(scores[steps], steps) for steps in saved if steps in scores]
    if not judged:
        raise SettingsError(f"{folder.parent} has no snapshot with an evaluation", remedy=known)
    return saved[max(judged)[1]]


def forget_snapshots_after(folder: Path, env_steps: int) -> None:
    """Drop the snapshots that a resumed run will write again."""
    for path in saved_snapshots(folder):
        if int(path.name) > env_steps:
            shutil.rmtree(path, ignore_errors=True)


def _stride(evaluation: int, limit: int) -> int:
    """The smallest power of two that divides at most `limit` of the numbers from 1 to `evaluation`."""
    stride = 1
    while evaluation // stride > limit:
        stride *= 2
    return stride


def _document(path: Path) -> dict[str, int]:
    try:
        document = read_json(path / "snapshot.json", limit=SMALL)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"snapshot {path} cannot be read: {error}", remedy="Delete that folder") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"snapshot {path} cannot be read: no object in it", remedy="Delete that folder")
    if document.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"snapshot {path} has format {document.get('format_version')!r}, not {FORMAT_VERSION}")
    return document
