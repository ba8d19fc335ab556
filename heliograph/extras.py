"""Packages that only some installations have: their absence is one sentence with the command that mends it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from heliograph.errors import MissingExtra


@contextmanager
def extra(name: str, *, packages: Collection[str], purpose: str) -> Iterator[None]:
    """Turn the missing import of one of `packages` inside the block into MissingExtra, which says what to install;
    `purpose` is what needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise MissingExtra(
            f"{purpose} needs {package}, which is not installed", remedy=f"pip install 'heliograph[{name}]'"
        ) from None
