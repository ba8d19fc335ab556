"""Snapshots: the networks alone as they were at evaluations on the way, so that every one of them can be played later.

A snapshot is a folder named by its environment steps with `tensors.safetensors` and `snapshot.json`; like a checkpoint
it appears only when it is whole.  At most so many are kept, spread evenly over the run: when there would be more, every
other one goes, and from then on every other evaluation leaves one.  The one that scored highest so far is kept beside
them.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from heliograph.documents import DocumentFormat, WrongDocument
from heliograph.errors import CheckpointError, SettingsError
from heliograph.reading import SMALL, Unreadable, check_plain, read_json
from trainer.algorithms.interfaces import Algorithm
from trainer.training.checkpoint import put_weights, under, whole_folder

SNAPSHOT = DocumentFormat(name=None, version=1, what="the snapshot", remedy="Delete that folder")


@dataclass(frozen=True, kw_only=True)
class ChosenNetworks:
    """Networks of a run, out of all that were kept of it."""

    path: Path | None
    """The snapshot; None: the newest checkpoint has them."""
    env_steps: int
    score: float | None
    """Of their evaluation; None if there was none."""

    def in_words(self) -> str:
        """As a person is told which they are."""
        scored = "" if self.score is None else f", which scored {self.score:.3f}"
        return f"networks after {self.env_steps:,} steps{scored}"


def save_snapshot(
    folder: Path, *, env_steps: int, evaluation: int, score: float, algorithm: Algorithm, limit: int
) -> None:
    """Write `folder/<env_steps>` at the `evaluation`-th evaluation (from 1), or not, so that at most `limit` stay.

    The best by `score` stays beside them, of equals the newest.  Which are kept follows from numbers and scores alone,
    so a resumed run keeps those of the uninterrupted one.  Raises CheckpointError if the disk refuses.
    """
    if not limit:
        return
    stride = _stride(evaluation, limit)
    own = folder / f"{env_steps:09d}"
    # An evaluation that a signal broke off after its snapshot is done again.
    documents = {path: _document(path) for path in saved_snapshots(folder) if path != own}
    scored = [(document["score"], path) for path, document in documents.items() if "score" in document]
    highest, champion = max(scored, default=(-math.inf, None))
    best = math.isfinite(score) and score >= highest
    if best or evaluation % stride == 0:
        fields: dict[str, Any] = {"env_steps": env_steps, "evaluation": evaluation}
        if math.isfinite(score):
            fields["score"] = score
        _write(own, fields, algorithm)
    # Last, so that a disk that refuses takes no better one along.
    for path, before in documents.items():
        if before["evaluation"] % stride and (best or path != champion):
            shutil.rmtree(path, ignore_errors=True)


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


def chosen_networks(
    folder: Path,
    choice: str,
    *,
    history: Iterable[Mapping[str, Any]],
    measure: str,
    final: ChosenNetworks | None = None,
) -> ChosenNetworks:
    """The snapshot at `choice` environment steps, or for "best" the networks that scored highest in `measure`.

    `history` are the run's records; `final` are the networks of its end, which "best" looks at, too, with the score of
    their record if they have one there.  Of equals the newest wins.  Raises SettingsError if there is none.
    """
    saved = {int(path.name): path for path in saved_snapshots(folder)}
    known = f"Snapshots were kept after {', '.join(map(str, saved))} steps" if saved else "The run kept no snapshots"
    scores = {record["env_steps"]: record[measure] for record in history if measure in record}
    if choice != "best":
        if not choice.isdigit() or int(choice) not in saved:
            raise SettingsError(f"{folder.parent} has no snapshot {choice!r}", remedy=known)
        return ChosenNetworks(path=saved[int(choice)], env_steps=int(choice), score=scores.get(int(choice)))
    judged: list[tuple[float, int, Path | None]] = [
        (scores[steps], steps, saved[steps]) for steps in saved if steps in scores
    ]
    if final is not None and (score := scores.get(final.env_steps, final.score)) is not None:
        judged.append((score, final.env_steps, None))
    if not judged:
        raise SettingsError(f"{folder.parent} has no snapshot with an evaluation", remedy=known)
    score, steps, path = max(judged, key=lambda found: found[:2])
    return ChosenNetworks(path=path, env_steps=steps, score=score)


def forget_snapshots_after(folder: Path, env_steps: int) -> None:
    """Drop the snapshots that a resumed run will write again."""
    for path in saved_snapshots(folder):
        if int(path.name) > env_steps:
            shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, fields: Mapping[str, Any], algorithm: Algorithm) -> None:
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, module in algorithm.modules().items()
        for key, value in module.state_dict().items()
    }
    with whole_folder(path) as partial:
        save_tensors(tensors, str(partial / "tensors.safetensors"))
        (partial / "snapshot.json").write_text(json.dumps(SNAPSHOT.document(fields)))


def _stride(evaluation: int, limit: int) -> int:
    """The smallest power of two that divides at most `limit` of the numbers from 1 to `evaluation`."""
    stride = 1
    while evaluation // stride > limit:
        stride *= 2
    return stride


def _document(path: Path) -> dict[str, Any]:
    try:
        return SNAPSHOT.check(read_json(path / "snapshot.json", limit=SMALL))
    except (OSError, ValueError) as error:
        remedy = error.remedy if isinstance(error, WrongDocument) else SNAPSHOT.remedy
        raise CheckpointError(f"snapshot {path} cannot be read: {error}", remedy=remedy) from error
