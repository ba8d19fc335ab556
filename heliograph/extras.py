"""Packages that only some installations have: their absence is one sentence with the command that mends it.

Any package may import this.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from heliograph.errors import MissingExtra
from heliograph.library_errors import cause_of


def in_a_checkout(commands: str) -> str:
    """What to say beside commands that install something, as a sentence without a full stop; nothing if they do not
    name this package."""
    return "In a checkout '.' takes the place of heliograph in what pip installs" if "heliograph" in commands else ""


def install(name: str = "") -> str:
    """How to install an extra, or without a name what every installation needs: as a release, and in a checkout."""
    if not name:
        return "Install it: pip install heliograph, or in a checkout pip install ."
    return f"Install the extra {name}: pip install 'heliograph[{name}]', or in a checkout pip install '.[{name}]'"


@contextmanager
def extra(name: str, *, packages: Collection[str], purpose: str, otherwise: str = "") -> Iterator[None]:
    """Turn the missing import of one of `packages` inside the block into MissingExtra, which says what to install.

    So is one that is installed and cannot be imported, as for want of a library of the system.  `purpose` is what needs
    it, in the singular: "serving metrics"; `otherwise` says what does without, as a clause.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise MissingExtra(
            f"{purpose} needs {package}, which is not installed", remedy=f"{install(name)}{otherwise}"
        ) from None
    except ImportError as error:
        package = (error.name or "").partition(".")[0] or _importing(error, packages)
        if package not in packages:
            raise
        raise MissingExtra(
            f"{purpose} needs {package}, which is installed and cannot be imported: {cause_of(error)}",
            remedy=f"Install it again, or what it lacks{otherwise}",
        ) from None


def _importing(error: ImportError, packages: Collection[str]) -> str:
    """Which of the packages an error comes from that does not say so itself; empty if it is none of them."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((name for name in (module.partition(".")[0] for module in modules) if name in packages), "")
