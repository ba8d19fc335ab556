"""Checkpoints: everything that a run needs to go on as if it had never stopped, as safetensors and JSON.

A checkpoint is a folder named by its iteration with `tensors.safetensors` (networks, optimisers, torch's RNG),
`replay.safetensors` and `state.json` (counters, numpy's RNG).  It appears under its name only when it is whole, so a
full disk or a killed process leaves the one before it untouched.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from heliograph.documents import DocumentFormat, WrongDocument
from heliograph.errors import CheckpointError
from heliograph.reading import check_plain, read_json
from heliograph.run_status import RunState, read_status
from trainer.algorithms.interfaces import Algorithm
from trainer.nets.random_states import random_states, restore_random_states

CHECKPOINT = DocumentFormat(
    name=None, version=2, what="the checkpoint", remedy="Use the version of heliograph that wrote it"
)
KEPT = 2
"""Checkpoints of a run that are kept: the newest, and one to fall back to."""
UNREADABLE_SUFFIX = ".unreadable"
T = TypeVar("T")

logger = logging.getLogger(__name__)


class UnreadableCheckpoint(CheckpointError):
    """It is truncated or altered; one before it may be whole."""


def save_checkpoint(
    folder: Path, *, iteration: int, algorithm: Algorithm, arrays: dict[str, npt.NDArray[Any]], state: dict[str, Any]
) -> Path:
    """Write `folder/<iteration>` and drop the oldest ones.  Raises CheckpointError if the disk refuses."""
    path = folder / f"{iteration:08d}"
    fields = state | {
        "iteration": iteration,
        "counters": algorithm.counters(),
        "param_groups": {name: _groups(optimiser) for name, optimiser in algorithm.optimisers().items()},
    }
    with whole_folder(path) as partial:
        save_tensors(_tensors(algorithm), str(partial / "tensors.safetensors"))
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_arrays(whole, partial / "replay.safetensors")
        (partial / "state.json").write_text(json.dumps(CHECKPOINT.document(fields)))
    for old in saved_checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return path


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write files into, which takes the place of `path` when all of them are on the disk.

    Raises CheckpointError if the disk refuses; then `path` is what it was.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for file in partial.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"cannot write checkpoint {path}: {error}", remedy="The one before it is whole; free space and resume"
        ) from error


def saved_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())


def from_newest(folder: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the newest checkpoint in a folder; of the one before it, with a warning, if that is broken.

    Raises CheckpointError if there is none that can be read, or `read` finds that it is of other settings.
    """
    saved = saved_checkpoints(folder)
    if not saved:
        raise _no_checkpoint(folder.parent)
    for path in reversed(saved):
        try:
            return read(path)
        except UnreadableCheckpoint as error:
            if path == saved[0]:
                raise
            logger.warning("%s; taking the checkpoint before it", error)
    raise AssertionError("unreachable: the oldest was read, or its error raised")


def _no_checkpoint(run: Path) -> CheckpointError:
    # One that was killed says that it is running, too.
    if read_status(run).state is RunState.RUNNING:
        return CheckpointError(
            f"{run} is still training, and holds no checkpoint yet",
            remedy=f"Wait for its first, or if nothing trains it any more: heliograph train --resume {run}",
        )
    return CheckpointError(f"{run} holds no checkpoint", remedy="Train it first")


def set_aside_after(path: Path) -> None:
    """Rename the checkpoints after this one, which could not be read, so that the run writes its own in their place."""
    for later in saved_checkpoints(path.parent):
        if later.name > path.name:
            aside = later.with_name(later.name + UNREADABLE_SUFFIX)
            shutil.rmtree(aside, ignore_errors=True)
            later.rename(aside)


def load_weights(path: Path, algorithm: Algorithm) -> int:
    """Put the networks alone of a checkpoint into an algorithm; its environment steps.  Raises CheckpointError."""
    try:
        state = read_json(path / "state.json")
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
        env_steps = int(state["env_steps"])
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise UnreadableCheckpoint(f"checkpoint {path} cannot be read: {error}") from error
    put_weights({name: under(tensors, f"module.{name}.") for name in algorithm.modules()}, algorithm, origin=path)
    return env_steps


def put_weights(weights: Mapping[str, dict[str, torch.Tensor]], algorithm: Algorithm, *, origin: Path) -> None:
    """Load the state of each module by name.  Raises CheckpointError with what does not fit."""
    for name, module in algorithm.modules().items():
        try:
            module.load_state_dict(weights[name])
        except RuntimeError as error:
            raise CheckpointError(
                f"the networks of {origin} do not fit this run's {name}: {_last_line(error)}",
                remedy="Weights can be taken from a run of the same algorithm, network sizes and kind of world",
            ) from error


def _last_line(error: Exception) -> str:
    """torch lists every tensor, on a line each, after one that names the class."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(lines[-1].split())


def load_networks(path: Path, algorithm: Algorithm) -> dict[str, Any]:
    """Restore networks, optimisers and counters, and return `state.json`.  Raises CheckpointError."""
    try:
        state = CHECKPOINT.check(read_json(path / "state.json"))
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
    except WrongDocument as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", remedy=error.remedy) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise UnreadableCheckpoint(f"checkpoint {path} cannot be read: {error}") from error
    try:
        for name, module in algorithm.modules().items():
            module.load_state_dict(under(tensors, f"module.{name}."))
        for name, optimiser in algorithm.optimisers().items():
            optimiser.load_state_dict(
                {"state": _optimiser_state(tensors, f"optimiser.{name}."), "param_groups": state["param_groups"][name]}
            )
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} does not fit the run's settings: {_last_line(error)}") from error
    algorithm.restore_counters(state["counters"])
    return state


def load_experience(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Restore torch's random state, and return the arrays that were saved.  Raises CheckpointError."""
    try:
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
        restore_random_states(under(tensors, "random."))
        return load_arrays(check_plain(path / "replay.safetensors"))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise UnreadableCheckpoint(f"checkpoint {path} cannot be read: {error}") from error


def _tensors(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    tensors = {f"random.{device}": state for device, state in random_states().items()}
    for name, module in algorithm.modules().items():
        tensors |= {f"module.{name}.{key}": value.contiguous() for key, value in module.state_dict().items()}
    for name, optimiser in algorithm.optimisers().items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in values.items()}
    return tensors


def _groups(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = optimiser.state_dict()["param_groups"]
    return groups


def under(named: Mapping[str, T], prefix: str) -> dict[str, T]:
    """The entries whose name begins like that, by the rest of their name."""
    return {key.removeprefix(prefix): value for key, value in named.items() if key.startswith(prefix)}


def _optimiser_state(tensors: dict[str, torch.Tensor], prefix: str) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in under(tensors, prefix).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return state
