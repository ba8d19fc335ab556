"""Packages that only some installations have: their absence is one sentence with the command that mends it.

Any package may import this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from heliograph.errors import MissingExtra


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

    `purpose` is what needs it, in the singular: "serving metrics"; `otherwise` says what does without, as a clause.
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
