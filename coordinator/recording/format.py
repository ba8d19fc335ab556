"""Reads the lines of a recording strictly: every field of the right type, shape and range, none unknown.

For `coordinator.recording.reader`.  Axis legend as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator.recording.header import TraceHeader
from heliograph.actions import ContinuousActions
from heliograph.codecs.message_format import MessageFormat

_LARGEST_SIZE = 2**24
_LARGEST_TEAM = 4096
"""Its square is the size of an array."""
_STEP = {
    *("kind", "pass", "episode", "step", "present", "observation", "action_mask", "hears", "masked", "lost", "late"),
    *("acted", "action", "reward", "latent", "state"),
}
_TEXTS = ("environment", "algorithm", "late_policy", "codec")
_SIZES = ("agents", "observation_size", "actions", "state_size", "recurrent_size")
_HEADER = {
    *("kind", "format", "version", "parameters", "run_seed", "greedy", "channel", "message", "bundles", "tables"),
    *("continuous", "observation_names", "state_names", *_TEXTS, *_SIZES),
}


class MalformedLine(Exception):
    """What is wrong with a line; the message goes on after "line 17:"."""


def read_header(line: dict[str, Any], *, older: bool) -> dict[str, Any]:
    """The fields of a TraceHeader; an `older` line knows no continuous actions."""
    _check_keys(line, _HEADER - {"continuous"} if older else _HEADER)
    line = {"continuous": [], **line}
    for name in _TEXTS:
        _check(isinstance(line[name], str), name, line[name], "text")
    for name in _SIZES:
        high = _LARGEST_TEAM if name == "agents" else _LARGEST_SIZE
        _integer(line, name, low=0 if name in ("state_size", "recurrent_size") else 1, high=high)
    _integer(line, "run_seed", low=0, high=2**64 - 1)
    _check(isinstance(line["greedy"], bool), "greedy", line["greedy"], "true or false")
    _check(line["late_policy"] in ("mask", "hold"), "late_policy", line["late_policy"], "mask or hold")
    _check(isinstance(line["channel"], str | None), "channel", line["channel"], "text or null")
    _check(isinstance(line["parameters"], dict), "parameters", line["parameters"], "an object")
    _names(line, "bundles", (line["agents"],))
    _names(line, "observation_names", (0, line["observation_size"]))
    _names(line, "state_names", (0, line["state_size"]))
    message = _message(line["message"])
    fields = {name: value for name, value in line.items() if name not in ("kind", "format", "version")}
    return fields | {
        "message": message,
        "continuous": _continuous(line["continuous"], agents=line["agents"], actions=line["actions"]),
        "tables": _tables(line["tables"], message),
        **{name: tuple(line[name]) for name in ("bundles", "observation_names", "state_names")},
    }


def read_episode(line: dict[str, Any]) -> dict[str, Any]:
    """What a TraceEpisode says about itself."""
    _check_keys(line, {"kind", "pass", "episode", "seed", "steps", "outcome", "return"})
    for name in ("episode", "steps"):
        _integer(line, name, low=0, high=2**63 - 1)
    _integer(line, "seed", low=0, high=2**64 - 1)
    for name in ("outcome", "return"):
        number = type(line[name]) in (int, float) and abs(line[name]) <= np.finfo(np.float64).max
        _check(number, name, line[name], "a number")
    _check(isinstance(line["pass"], str), "pass", line["pass"], "text")
    return {
        "pass_name": line["pass"],
        "episode": line["episode"],
        "seed": line["seed"],
        "outcome": float(line["outcome"]),
        "team_return": float(line["return"]),
    }


def read_end(line: dict[str, Any], *, agents: int) -> dict[str, Any]:
    """The totals of the last line: integers, and lists of lists [N][N] of them."""
    _check_keys(line, {"kind", "episodes", "steps", "sent", "heard"})
    for name in ("episodes", "steps"):
        _integer(line, name, low=0, high=2**63 - 1)
    for name in ("sent", "heard"):
        _array(line[name], name, (agents, agents), np.int64)
    return line


class Steps:
    """Collects the steps of one episode after the other."""

    def __init__(self, header: TraceHeader) -> None:
        agents, message = header.agents, header.message
        self._header = header
        self._shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "present": ((agents,), np.bool_),
            "observation": ((agents, header.observation_size), np.float32),
            "action_mask": ((agents, header.actions), np.bool_),
            "acted": ((agents,), np.bool_),
            "action": ((agents, header.actions), np.float32) if header.continuous else ((agents,), np.int64),
            "reward": ((agents,), np.float32),
        }
        self._optional: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {}
        if message is not None:
            self._optional["latent"] = ((agents, message.categoricals), np.int32)
        if header.state_size:
            self._optional["state"] = ((header.state_size,), np.float32)
        self._label: tuple[Any, Any] = (None, None)
        """Pass and episode of the steps so far."""
        self._rows: list[dict[str, npt.NDArray[Any]]] = []

    def add(self, line: dict[str, Any]) -> None:
        """Take a step's line."""
        _check_keys(line, _STEP)
        _integer(line, "step", low=0, high=2**63 - 1)
        label = (line["pass"], line["episode"])
        if self._rows and label != self._label:
            raise MalformedLine(f"begins episode {line['episode']!r} before episode {self._label[1]!r} ended")
        if line["step"] != len(self._rows):
            raise MalformedLine(f"is step {line['step']} where step {len(self._rows)} should be")
        self._label = label
        row = {name: _array(line[name], name, *shape) for name, shape in self._shapes.items()}
        for name in ("latent", "state"):
            if name in self._optional:
                row[name] = _array(line[name], name, *self._optional[name])
            else:
                _check(line[name] is None, name, line[name], "null, as the header says")
        for name in ("hears", "masked", "lost"):
            row[name] = _pairs(line[name], name, self._header.agents)
        row["delay"] = _delays(line["late"], self._header.agents)
        _check(not (row["masked"] & ~row["hears"]).any(), "masked", line["masked"], "some of those that were hearable")
        if self._header.continuous:
            _check(bool((np.abs(row["action"]) < 1).all()), "action", line["action"], "numbers between -1 and 1")
        else:
            _check(_within(row["action"], 0, self._header.actions), "action", line["action"], "actions that exist")
        if "latent" in row:
            self._check_latent(row["latent"])
        self._rows.append(row)

    def take(self, line: dict[str, Any]) -> dict[str, Any]:
        """The arrays of the episode that this line ends, for a TraceEpisode."""
        if not self._rows or self._label != (line["pass"], line["episode"]):
            raise MalformedLine(f"ends episode {line['episode']}, of which there are no steps before it")
        if line["steps"] != len(self._rows):
            raise MalformedLine(f"ends an episode of {line['steps']} steps, of which {len(self._rows)} are there")
        rows, self._rows = self._rows, []
        stacked: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return {"latent": None, "state": None} | stacked

    def check_none_left(self) -> None:
        """Raise MalformedLine if steps wait for the end of their episode."""
        if self._rows:
            raise MalformedLine(f"is the end, but episode {self._label[1]!r} did not end")

    def _check_latent(self, latent: npt.NDArray[np.int32]) -> None:
        message = self._header.message
        assert message is not None
        silent = (latent == -1).all(1)
        if not _within(latent[~silent], 0, message.classes):
            raise MalformedLine(f"has a latent with an id outside 0..{message.classes - 1}")


def _message(value: Any) -> MessageFormat | None:
    if value is None:
        return None
    _check(isinstance(value, dict) and value.keys() == {"categoricals", "classes"}, "message", value, "a format")
    try:
        return MessageFormat(**value)
    except ValueError as error:
        raise MalformedLine(f"has a message format whose {error}") from None


def _continuous(value: Any, *, agents: int, actions: int) -> tuple[ContinuousActions, ...]:
    proper = isinstance(value, list) and len(value) in (0, agents)
    _check(proper and all(isinstance(entry, dict) for entry in value), "continuous", value, "bounds of each agent")
    found = []
    for entry in value:
        _check(entry.keys() == {"low", "high", "bits"}, "continuous", entry, "low, high and bits")
        lists = isinstance(entry["low"], list) and isinstance(entry["high"], list)
        _check(lists and len(entry["low"]) == actions, "continuous", entry, f"{actions} numbers low and high")
        try:
            found.append(ContinuousActions(**entry | {name: tuple(entry[name]) for name in ("low", "high")}))
        except ValueError as error:
            raise MalformedLine(f"has continuous actions whose {error}") from None
    _check(len({space.bits for space in found}) < 2, "continuous", value, "as many bits for each agent")
    return tuple(found)


def _tables(value: Any, message: MessageFormat | None) -> npt.NDArray[np.int64] | None:
    if value is None:
        return None
    _check(message is not None, "tables", "given", "null where there are no messages")
    assert message is not None
    tables = _array(value, "tables", (message.categoricals, message.classes), np.int64)
    _check(_within(tables, 0, 2**63), "tables", "negative", "counts")
    return tables


def _pairs(value: Any, name: str, agents: int) -> npt.NDArray[np.bool_]:
    """bool [N, N] of one list of slots per agent, ascending and without the agent's own."""
    _check(isinstance(value, list) and len(value) == agents, name, value, f"{agents} lists of slots")
    pairs = np.zeros((agents, agents), dtype=bool)
    for slot, row in enumerate(value):
        proper = isinstance(row, list) and all(type(peer) is int and 0 <= peer < agents for peer in row)
        _check(proper and sorted(set(row)) == row and slot not in row, name, row, "ascending slots of others")
        pairs[slot, row] = True
    return pairs


def _delays(value: Any, agents: int) -> npt.NDArray[np.int64]:
    """int64 [N, N] of one list of [slot, steps] per agent."""
    proper = isinstance(value, list) and all(isinstance(row, list) for row in value)
    pairs = [pair for row in value for pair in row] if proper else []
    proper = proper and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    proper = proper and all(type(steps) is int and 0 < steps < 2**63 for _, steps in pairs)
    _check(proper, "late", value, "a slot and a number of steps for each delayed message")
    delays = np.zeros((agents, agents), dtype=np.int64)
    delays[_pairs([[slot for slot, _ in row] for row in value], "late", agents)] = [steps for _, steps in pairs]
    return delays


def _array(value: Any, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Nested lists of numbers, or of booleans, as an array of just this shape and kind."""
    try:
        found = np.array(value)
    except (ValueError, OverflowError):
        raise MalformedLine(f"has a {name} whose rows differ in length or whose numbers are too large") from None
    kinds = "bi" if dtype is np.bool_ else "fi" if dtype is np.float32 else "i"
    if found.shape != shape or found.dtype.kind not in kinds:
        raise MalformedLine(f"has a {name} of shape {found.shape} and type {found.dtype}, expected {shape} of {kinds}")
    if dtype is np.bool_ and not _within(found.astype(np.int64), 0, 2):
        raise MalformedLine(f"has a {name} with something besides true and false")
    if dtype is np.float32 and np.abs(found).max(initial=0.0) > np.finfo(np.float32).max:
        raise MalformedLine(f"has a {name} with a number beyond float32")
    if dtype is np.int32 and not _within(found, -(2**31), 2**31):
        raise MalformedLine(f"has a {name} with a number beyond int32")
    return found.astype(dtype)


def _within(values: npt.NDArray[Any], low: int, high: int) -> bool:
    return bool(values.size == 0 or (low <= values.min() and values.max() < high))


def _names(line: dict[str, Any], name: str, lengths: tuple[int, ...]) -> None:
    value = line[name]
    texts = isinstance(value, list) and len(value) in lengths and all(isinstance(entry, str) for entry in value)
    _check(texts, name, value, f"a list of {' or '.join(map(str, lengths))} texts")


def _integer(line: dict[str, Any], name: str, *, low: int, high: int) -> None:
    value = line[name]
    _check(type(value) is int and low <= value <= high, name, value, f"an integer in {low}..{high}")


def _check_keys(line: dict[str, Any], expected: set[str]) -> None:
    if line.keys() != expected:
        missing, unknown = sorted(expected - line.keys()), sorted(line.keys() - expected)
        raise MalformedLine(f"lacks {missing}" if missing else f"has fields that do not belong there: {unknown}")


def _check(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        text = repr(value)
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        raise MalformedLine(f"has {name} {shown}, expected {expected}")
