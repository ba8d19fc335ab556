"""What a worker and its parent say to each other over their pipe; pickled, as both ends are of one installation.

For `heliograph.environments.workers` and the adapters that put a simulator into a worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.settings import Settings

CLOSE = "close"
"""The last call: it has no answer but the end of the process."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a worker needs to make its environment: a registry id and parameters, or an adapter and its settings."""

    environment: str
    """Registry id or import path; with `adapter`, only the name that the environment goes by."""
    count: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the registry id; unused with `adapter`."""
    permission: Permission = CATALOGUE_ONLY
    """To make it; unused with `adapter`."""
    adapter: str = ""
    """`module:Class` of a VectorEnvironment made from (settings, id=, count=), past the registry."""
    settings: Settings | None = None
    """Of `adapter`."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An exception on its way to the parent."""

    error: str
    """Name of a class of `heliograph.errors`."""
    message: str
    remedy: str = ""
