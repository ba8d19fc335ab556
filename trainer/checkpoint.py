"""Checkpoints: everything that a run needs to go on as if it had never stopped, as safetensors and JSON.

A checkpoint is a folder named by its iteration with `tensors.safetensors` (networks, optimisers, torch's RNG),
`replay.safetensors` and `state.json` (counters, numpy's RNG).  It appears under its name only when it is whole, so a
full disk or a killed process leaves the one before it untouched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from heliograph.errors import CheckpointError
from heliograph.reading import check_plain, read_json
from trainer.algorithm import Algorithm

FORMAT_VERSION = 2
KEPT = 2
"""Checkpoints of a run that are kept: the newest, and one to fall back to."""
FALL_BACK = "Delete that folder to go on from the checkpoint before it"


def save_checkpoint(
    folder: Path, *, iteration: int, algorithm: Algorithm, arrays: dict[str, np.ndarray], state: dict[str, Any]
) -> Path:
    """Write `folder/<iteration>` and drop the oldest ones.  Raises CheckpointError if the disk refuses."""
    path = folder / f"{iteration:08d}"
    document = state | {
        "format_version": FORMAT_VERSION,
        "iteration": iteration,
        "counters": algorithm.counters(),
        "param_groups": {name: _groups(optimiser) for name, optimiser in algorithm.optimisers().items()},
    }
    with whole_folder(path) as partial:
        save_tensors(_tensors(algorithm), str(partial / "tensors.safetensors"))
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_arrays(whole, partial / "replay.safetensors")
        (partial / "state.json").write_text(json.dumps(document))
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


def load_networks(path: Path, algorithm: Algorithm) -> dict[str, Any]:
    """Restore networks, optimisers and counters, and return `state.json`.  Raises CheckpointError."""
    try:
        state = read_json(path / "state.json")
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", remedy=FALL_BACK) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"checkpoint {path} cannot be read: state.json holds no object", remedy=FALL_BACK)
    if state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"checkpoint {path} has format {state.get('format_version')!r}, not {FORMAT_VERSION}")
    try:
        for name, module in algorithm.modules().items():
            module.load_state_dict(_under(tensors, f"module.{name}."))
        for name, optimiser in algorithm.optimisers().items():
            optimiser.load_state_dict(
                {"state": _optimiser_state(tensors, f"optimiser.{name}."), "param_groups": state["param_groups"][name]}
            )
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} does not fit the run's settings: {error}") from error
    algorithm.restore_counters(state["counters"])
    return state


def load_experience(path: Path) -> dict[str, np.ndarray]:
    """Restore torch's random state, and return the arrays that were saved.  Raises CheckpointError."""
    try:
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return load_arrays(check_plain(path / "replay.safetensors"))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", remedy=FALL_BACK) from error


def _tensors(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    tensors = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, module in algorithm.modules().items():
        tensors |= {f"module.{name}.{key}": value.contiguous() for key, value in module.state_dict().items()}
    for name, optimiser in algorithm.optimisers().items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in values.items()}
    return tensors


def _groups(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    return optimiser.state_dict()["param_groups"]


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimiser_state(tensors: dict[str, torch.Tensor], prefix: str) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in _under(tensors, prefix).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return state
