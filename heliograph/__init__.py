"""Heliograph: the runtime for teams of agents that act apart and think together.

The names in `__all__` are the public surface.  Each is imported when it is first used, and comes from the package that
declares it as an entry point of the group `heliograph.api` (see `heliograph.surface`), so `import heliograph` is quick
and loads no framework, and this package imports neither torch nor any simulator, nor one of the roles (`agent_node`,
`coordinator`, `analysis`, `trainer`); a test holds that.  Their types are in `__init__.pyi`.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Node",
    "World",
    "__version__",
    "audit",
    "bandwidth",
    "errors",
    "evaluate",
    "load_team",
    "make_environment",
    "onnx_of",
    "pack",
    "run",
    "train",
]


def __getattr__(name: str) -> object:
    """A name of the public surface.  Raises MissingExtra if the package that brings it is not installed."""
    if name not in __all__:  # submodules are looked for here, too, before they are imported
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    from heliograph.surface import resolve

    found = globals()[name] = resolve(name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
