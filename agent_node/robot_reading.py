"""What a robot says of itself at a moment, as JSON; checked, since what comes over a network may be anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.manifest import Manifest
from heliograph.reading import SMALL, Unreadable, parse_json

MOST_BYTES = SMALL
"""Of a reading."""
_KEYS = frozenset(("observation", "mask", "receives_from", "sends_to"))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An observation and what goes with it (D observation size, A actions)."""

    observation: npt.NDArray[np.float32]
    """float32 [D]."""
    mask: npt.NDArray[np.bool_]
    """bool [A], true where the action is legal."""
    receives_from: tuple[int, ...]
    sends_to: tuple[int, ...]
    """Slots in reach."""


def parse_reading(data: bytes, manifest: Manifest, others: tuple[int, ...]) -> Reading:
    """The reading for a bundle whose team mates have the slots `others`; what it leaves out is all of them.

    Raises ValueError for what a robot may not say, with why.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        found = parse_json(data, finite=True)
    except Unreadable as error:
        raise ValueError(f"it {error}") from None
    if not isinstance(found, dict) or found.keys() - _KEYS:
        raise ValueError("it is no object of observation, mask, receives_from and sends_to")
    return Reading(
        observation=_observation(found.get("observation"), manifest.observation_size),
        mask=_mask(found, manifest.actions.mask_size),
        receives_from=_slots(found, "receives_from", others),
        sends_to=_slots(found, "sends_to", others),
    )


def _observation(value: Any, size: int) -> npt.NDArray[np.float32]:
    if not isinstance(value, list) or not all(type(entry) in (int, float) for entry in value):
        raise ValueError("observation is no list of numbers")
    if len(value) != size:
        raise ValueError(f"observation has {len(value)} numbers, and the bundle takes {size}")
    try:
        with np.errstate(over="ignore"):
            numbers = np.array([float(entry) for entry in value]).astype(np.float32)
    except OverflowError:
        numbers = np.array([np.inf], dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("observation has a number that is too large")
    return numbers


def _mask(found: dict[str, Any], actions: int) -> npt.NDArray[np.bool_]:
    mask = found.get("mask", [True] * actions)
    if not isinstance(mask, list) or len(mask) != actions or not all(type(legal) is bool for legal in mask):
        raise ValueError(f"mask is no list of {actions} true and false")
    if actions and not any(mask):
        raise ValueError("mask has no legal action")
    return np.array(mask, dtype=bool)


def _slots(found: dict[str, Any], name: str, others: tuple[int, ...]) -> tuple[int, ...]:
    slots = found.get(name, list(others))
    if not isinstance(slots, list) or any(type(slot) is not int or slot not in others for slot in slots):
        raise ValueError(f"{name} is no list of other agents' slots")
    return tuple(dict.fromkeys(slots))
