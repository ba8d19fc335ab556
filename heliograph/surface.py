"""Finds what `import heliograph` offers: own names in this package, the roles' through entry points.

For `heliograph/__init__.py` alone.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import resolve_name

from heliograph.errors import MissingExtra

GROUP = "heliograph.api"
"""Entry points of the roles' public names."""

OWN = {
    "errors": "heliograph.errors",
    "load_team": "heliograph.api:load_team",
    "make_environment": "heliograph.api:make_environment",
}


def resolve(name: str) -> object:
    """Import what a public name stands for.

    Raises MissingExtra if no installed package offers it, or the one that does lacks a package that it needs.
    """
    if name in OWN:
        return resolve_name(OWN[name])
    # Here and not above: it costs a process 5 MB, and own names do without.
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise MissingExtra(
            f"no installed package offers heliograph.{name}", remedy="pip install --force-reinstall heliograph"
        )
    package = found.module.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtra(
            f"heliograph.{name} is of the package {package}, which this installation has not",
            remedy="pip install heliograph",
        ) from None
    return found.load()
