"""Whether two runs have come to the same: networks, replay, counters and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from trainer.training.checkpoint import saved_checkpoints
from trainer.training.run_folder import RunFolder


def contents(path: Path) -> dict[str, Any]:
    """Everything of the newest checkpoint but the clock, and all metrics but times."""
    folder = RunFolder.open(path)
    checkpoint = saved_checkpoints(folder.checkpoints)[-1]
    state = json.loads((checkpoint / "state.json").read_text())
    del state["seconds"], state["cpu_seconds"]
    metrics = [
        {name: value for name, value in record.items() if not name.startswith(("time/", "seconds", "cpu_seconds"))}
        for record in folder.history()
    ]
    arrays = load_file(checkpoint / "tensors.safetensors") | load_file(checkpoint / "replay.safetensors")
    return {"name": checkpoint.name, "state": state, "metrics": metrics, "arrays": arrays}


def assert_equal_runs(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    arrays, others = first.pop("arrays"), second.pop("arrays")
    assert first == second
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        assert np.array_equal(array, others[name], equal_nan=True), name
