"""Copies of one environment spread over worker processes that step at the same time.

For `heliograph.environments` only; `heliograph.environments.registry.make` makes one when it is given `workers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.environments.permission import Permission
from heliograph.environments.workers.group import WorkerGroup
from heliograph.environments.workers.protocol import Blueprint
from heliograph.environments.workers.worker import WorkerEnvironment

_VARIABLES = {"OMP_NUM_THREADS": "1"}
"""The workers have the cores among them as it is."""


def pooled(
    environment: str, *, count: int, workers: int, parameters: Mapping[str, Any], permission: Permission
) -> WorkerGroup:
    """Make `count` copies in at most `workers` processes, about as many in each.

    Their episodes are those of one process; a worker that dies loses its own copies alone.
    Raises what making the environment has raised.
    """
    workers = min(workers, count)
    shares = [count // workers + (number < count % workers) for number in range(workers)]
    return WorkerGroup(
        [
            WorkerEnvironment(
                Blueprint(environment=environment, count=share, parameters=parameters, permission=permission),
                variables=_VARIABLES,
            )
            for share in shares
        ]
    )
