"""Finds what `import heliograph` offers: own names in this package, the roles' through entry points.

For `heliograph/__init__.py` alone.
"""

from __future__ import annotations

from pkgutil import resolve_name

from heliograph.errors import MissingExtra
from heliograph.extras import install
from heliograph.foreign_packages import PACKAGES, foreign

GROUP = "heliograph.api"
"""Entry points of the roles' public names."""

OWN = {
    "errors": "heliograph.errors",
    "load_team": "heliograph.api:load_team",
    "make_environment": "heliograph.environments.api:make_environment",
    "pack": "heliograph.packing.api:pack",
}


def resolve(name: str) -> object:
    """Import what a public name stands for.

    Raises MissingExtra if no installed package offers it, or the one that does lacks a package that it needs.
    """
    try:
        return resolve_name(OWN[name]) if name in OWN else _brought(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise MissingExtra(
            f"heliograph.{name} needs {error.name}, which this installation has not", remedy=install()
        ) from None


def _brought(name: str) -> object:
    # Here and not above: it costs a process 5 MB, and own names do without.
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise MissingExtra(
            f"no installed package offers heliograph.{name}", remedy=f"{install()}, with --force-reinstall"
        )
    if (other := foreign(found.module.partition(".")[0])) is not None:
        raise MissingExtra(f"heliograph.{name} is not there: {other.sentence}", remedy=other.remedy)
    return found.load()
