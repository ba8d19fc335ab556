"""Imports modules in a process of its own: what breaks, hangs or crashes there is a finding, not our end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

_TIMEOUT_S = 120.0
_MARK = "doctor-trial:"
_PROGRAM = f"""
import importlib, json, sys
problems = {{}}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        problems[name] = (type(error).__name__ + ": " + str(error)).splitlines()[0]
gpus = []
if "torch" in sys.argv[1:] and "torch" not in problems:
    import torch
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print("{_MARK}" + json.dumps({{"problems": problems, "gpus": gpus}}))
"""


def try_imports(
    modules: Sequence[str], *, variables: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """Import `modules` in turn with `variables` in that process alone.

    Returns what went wrong by module, one line each, and the names of the GPUs that torch sees if it is among them.
    """
    command = [sys.executable, "-P", "-c", _PROGRAM, *modules]
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return dict.fromkeys(modules, f"importing took more than {_TIMEOUT_S:g} s"), []
    reports = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not reports:
        return dict.fromkeys(modules, f"the process that imported it ended with exit code {done.returncode}"), []
    report = json.loads(reports[-1])
    return report["problems"], report["gpus"]
