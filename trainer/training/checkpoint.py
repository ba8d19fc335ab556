"""Checkpoints: everything that a run needs to go on as if it had never stopped, as safetensors and JSON.

A checkpoint is a folder named by its iteration with `tensors.safetensors` (networks, optimisers, torch's RNG),
`replay.safetensors` and `state.json` (counters, numpy's RNG).  It appears under its name only when it is whole, so a
full disk or a killed process leaves the one before it untouched.  Of several ranks, which have the same networks and
each its own experience, rank R adds `rank-R.random.safetensors`, `rank-R.replay.safetensors` and `rank-R.state.json`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
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
from heliograph.system_refusals import remedy_for
from trainer.algorithms.interfaces import Algorithm
from trainer.nets.optional_parts import fitted
from trainer.nets.random_states import random_states, restore_random_states
from trainer.ranks.group import ranks
from trainer.training.shares import check_ranks

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
    """Write `folder/<iteration>` and drop the oldest ones; with all ranks, whose disk has to be the same.

    Raises CheckpointError if the disk refuses, on every rank, or if the networks of the ranks are not the same any
    more.
    """
    path, group = folder / f"{iteration:08d}", ranks()
    _check_same(algorithm, iteration)
    fields = CHECKPOINT.document(
        state | {"iteration": iteration, "ranks": group.count, "counters": algorithm.counters()}
    )
    if group.lead:
        fields["param_groups"] = {name: _groups(optimiser) for name, optimiser in algorithm.optimisers().items()}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    share = _share(group.rank)
    with whole_folder(path) if group.lead else nullcontext(_partial(path)) as partial:
        group.any(False)  # once all ranks are here, the folder is there
        refused: Exception | None = None
        try:
            save_tensors(_tensors(algorithm) if group.lead else _random_tensors(), str(partial / share.tensors))
            save_arrays(whole, partial / share.replay)
            (partial / share.state).write_text(json.dumps(fields))
        except (OSError, SafetensorError) as error:
            refused = error
        if group.any(refused is not None):
            raise _unwritable(path, refused or OSError("another rank could not write its share")) from refused
    if group.lead:
        for old in saved_checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return path


@dataclass(frozen=True, kw_only=True)
class _Share:
    """Names of the files of a rank."""

    tensors: str
    replay: str
    state: str


def _share(rank: int) -> _Share:
    if rank:
        return _Share(
            tensors=f"rank-{rank}.random.safetensors",
            replay=f"rank-{rank}.replay.safetensors",
            state=f"rank-{rank}.state.json",
        )
    return _Share(tensors="tensors.safetensors", replay="replay.safetensors", state="state.json")


def _check_same(algorithm: Algorithm, iteration: int) -> None:
    """Raises CheckpointError on every rank if their networks are not the same, bit for bit."""
    group = ranks()
    if group.count == 1:
        return
    digest = sha256()
    for module in algorithm.modules().values():
        for value in module.state_dict().values():
            digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    own = digest.hexdigest()
    logger.info("networks iteration=%d rank=%d sha256=%s", iteration, group.rank, own[:16])
    if group.any(group.of_lead(own) != own):
        raise CheckpointError(
            f"the networks of the {group.count} ranks have come apart by iteration {iteration}",
            remedy="Go on from the checkpoint before, with the same torch on processors of one kind for all ranks",
        )


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _unreadable(path: Path, error: Exception) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(f"checkpoint {path} cannot be read: {error}", remedy=remedy_for(error, otherwise=""))


def _unwritable(path: Path, error: Exception) -> CheckpointError:
    whole = "; the one before it is whole" if saved_checkpoints(path.parent) else ""
    remedy = f"{remedy_for(error, otherwise='Mend that')}, and resume{whole}"
    return CheckpointError(f"cannot write checkpoint {path}: {error}", remedy=remedy)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write files into, which takes the place of `path` when all of them are on the disk.

    Raises CheckpointError if the disk refuses; then `path` is what it was.
    """
    partial = _partial(path)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        path.parent.mkdir(exist_ok=True)  # without those above it: a run folder that is gone is not made anew
        partial.mkdir()
        yield partial
        for file in partial.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    except CheckpointError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise _unwritable(path, error) from error


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


def check_newest_ranks(folder: Path, ranks: int) -> None:
    """Raises CheckpointError if the newest checkpoint in a folder is of another number of ranks; not if there is none,
    or it cannot be read: going on tells of that."""
    with suppress(OSError, ValueError):
        for path in saved_checkpoints(folder)[-1:]:
            check_ranks(_checked(read_json(path / "state.json")), ranks)


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
        raise _unreadable(path, error) from error
    put_weights({name: under(tensors, f"module.{name}.") for name in algorithm.modules()}, algorithm, origin=path)
    return env_steps


def put_weights(weights: Mapping[str, dict[str, torch.Tensor]], algorithm: Algorithm, *, origin: Path) -> None:
    """Load the state of each module by name, and tell which of their optional parts did not carry over.

    Raises CheckpointError with what does not fit.
    """
    for name, module in algorithm.modules().items():
        found = fitted(weights[name], module)
        try:
            module.load_state_dict(found.weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"the networks of {origin} do not fit this run's {name}: {_last_line(error)}",
                remedy="Weights can be taken from a run of the same algorithm, network sizes and kind of world",
            ) from error
        for part in found.anew:
            logger.warning("the networks of %s have no %s.%s that fits, so that it begins anew", origin, name, part)
        for part in found.left_out:
            logger.warning("the networks of %s have a %s.%s, which is left out, as here is none", origin, name, part)


def _last_line(error: Exception) -> str:
    """torch lists every tensor, on a line each, after one that names the class."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(lines[-1].split())


def load_checkpoint(
    path: Path, algorithm: Algorithm, restore: Callable[[dict[str, Any], dict[str, npt.NDArray[Any]]], None]
) -> None:
    """Restore all that a checkpoint has of an algorithm and of torch, and by `restore`, which gets this rank's state
    and arrays, what else there is.

    Raises CheckpointError, on every rank, if one of them cannot.
    """
    refused = None
    try:
        check_ranks(load_networks(path, algorithm), ranks().count)
        state, arrays = load_experience(path)
        with _understood(path):
            if "counters" in state:
                algorithm.restore_counters(state["counters"])  # its own, of what it has experienced itself
            restore(state, arrays)
    except UnreadableCheckpoint as error:
        refused = error
    if ranks().any(refused is not None):
        raise refused or UnreadableCheckpoint(f"checkpoint {path} cannot be read by another rank")


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Raises UnreadableCheckpoint where what stands in a checkpoint is not what this program has written."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadableCheckpoint(f"checkpoint {path} cannot be read: {_named(error)}") from error


def _named(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else _last_line(error)


def _checked(state: Any) -> dict[str, Any]:
    """Raises WrongDocument, and ValueError for counts that are none."""
    fields = CHECKPOINT.check(state)
    for name in ("iteration", "env_steps", "ranks"):
        if name in fields and (type(fields[name]) is not int or fields[name] < 0):
            raise ValueError(f"its {name} is {fields[name]!r}, and no count")
    return fields


def load_networks(path: Path, algorithm: Algorithm) -> dict[str, Any]:
    """Restore networks, optimisers and counters, and return `state.json`.  Raises CheckpointError."""
    try:
        state = _checked(read_json(path / "state.json"))
        tensors = load_tensors(check_plain(path / "tensors.safetensors"))
    except WrongDocument as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", remedy=error.remedy) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    groups = state.get("param_groups")
    if not isinstance(groups, dict) or not all(isinstance(each, list) for each in groups.values()):
        raise UnreadableCheckpoint(f"checkpoint {path} cannot be read: it has no param_groups")
    try:
        for name, module in algorithm.modules().items():
            module.load_state_dict(under(tensors, f"module.{name}."))
        for name, optimiser in algorithm.optimisers().items():
            optimiser.load_state_dict(
                {"state": _optimiser_state(tensors, f"optimiser.{name}."), "param_groups": groups[name]}
            )
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} does not fit the run's settings: {_last_line(error)}") from error
    with _understood(path):
        algorithm.restore_counters(state["counters"])
    return state


def load_experience(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Restore torch's random state; this rank's state and arrays as they were saved.  Raises CheckpointError."""
    share = _share(ranks().rank)
    try:
        tensors = load_tensors(check_plain(path / share.tensors))
        restore_random_states(under(tensors, "random."))
        state = _checked(read_json(path / share.state))
        return state, load_arrays(check_plain(path / share.replay))
    except WrongDocument as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", remedy=error.remedy) from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def _tensors(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    tensors = _random_tensors()
    for name, module in algorithm.modules().items():
        tensors |= {f"module.{name}.{key}": value.contiguous() for key, value in module.state_dict().items()}
    for name, optimiser in algorithm.optimisers().items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in values.items()}
    return tensors


def _random_tensors() -> dict[str, torch.Tensor]:
    return {f"random.{device}": state for device, state in random_states().items()}


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
