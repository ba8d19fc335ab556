"""Reads a channel's `key=value` texts.  Used by `Channel.parse` and by sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from coordinator.channel.keys import KEYS
from heliograph.errors import SettingsError
from heliograph.link_faults import Burst, Distance
from heliograph.settings import did_you_mean


def fields_of(texts: Iterable[str]) -> dict[str, Any]:
    """The arguments of `Channel` in texts such as `erasure=0.3,silent=2,3`."""
    fields: dict[str, Any] = {}
    for key, value in _pairs(texts):
        name, found = _NAMES.get(key, key.replace("-", "_")), _read(key, value)
        if key == "link":
            found = fields.get(name, ()) + found
        elif name in fields:
            raise SettingsError(f"channel: {key} is given twice", remedy="Give it once")
        fields[name] = found
    return fields


def _pairs(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in texts:
        for position, part in enumerate(text.split(",")):
            key, separator, value = (piece.strip() for piece in part.partition("="))
            if separator:
                pairs.append((key, value))
            elif position and part.strip():
                # A comma also separates the slots and links of one value.
                pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{part.strip()}")
            else:
                raise SettingsError(f"channel: {text!r} is not of the form key=value", remedy=_KNOWN)
    return pairs


def _read(key: str, value: str) -> Any:
    if key not in KEYS:
        raise SettingsError(f"channel: there is no {key!r}", remedy=did_you_mean(key, KEYS) + _KNOWN)
    try:
        return _READERS.get(key, float)(value)
    except ValueError:
        raise SettingsError(f"channel: {key}={value} cannot be read", remedy=f"Write {KEYS[key]}") from None


def _burst(value: str) -> Burst:
    loss, mean_steps = map(float, value.split(":"))
    return Burst(loss=loss, mean_steps=mean_steps)


def _distance(value: str) -> Distance:
    half, *exponent = map(float, value.split(":"))
    if len(exponent) > 1:
        raise ValueError
    return Distance(half=half, exponent=exponent[0]) if exponent else Distance(half=half)


def _links(value: str) -> tuple[tuple[int, int, float], ...]:
    return tuple(_link(text) for text in value.split(","))


def _link(text: str) -> tuple[int, int, float]:
    ends, loss = text.split(":")
    sender, receiver = ends.split(">")
    return int(sender), int(receiver), float(loss)


def _slots(value: str) -> tuple[int, ...]:
    return tuple(int(slot) for slot in value.split(","))


_KNOWN = "Known are " + "; ".join(KEYS.values())

_NAMES = {"link": "links"}

_READERS: dict[str, Callable[[str], Any]] = {
    "burst": _burst,
    "distance": _distance,
    "link": _links,
    "nearest": int,
    "silent": _slots,
}
