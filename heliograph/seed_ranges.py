"""Seeds as people write them: `0-9`, `0,3,7`, `0-2,5`.  Any package may import this."""

from __future__ import annotations

import re

from heliograph.errors import SettingsError

MAX_SEEDS = 1000
_NUMBER = re.compile("[0-9]{1,20}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds of `0-9`, `0,3,7` or `0-2,5`, ascending.  Raises SettingsError."""
    seeds: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not all(_NUMBER.fullmatch(number) for number in ((first, last) if dash else (first,))):
            raise SettingsError(f"seeds {text!r} are not like 0-9 or 0,3,7")
        low, high = int(first), int(last if dash else first)
        if not low <= high < low + MAX_SEEDS:
            raise SettingsError(f"seeds {part.strip()!r} are none, or more than {MAX_SEEDS}")
        seeds.update(range(low, high + 1))
        if len(seeds) > MAX_SEEDS:
            raise SettingsError(f"there are more than {MAX_SEEDS} seeds")
    if max(seeds) >= 2**64:
        raise SettingsError(f"seed {max(seeds)} is not in 0..2**64-1")
    return tuple(sorted(seeds))
