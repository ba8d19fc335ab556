"""Named features of what a sender perceives and of the world's state, as small numbers of values.

Entries "cue = 0", "cue = 1", … are one feature with as many values.  State entries "agent 2 x" are told from the
sender's point of view, "own x", "next agent's x", so that all senders can be read together.  Other entries are cut at
their quantiles.  Axis legend: M messages, F features.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.language.sent_messages import SentMessages

BINS = 8
"""Values that a feature is cut into if it has more."""

_OF_AN_AGENT = re.compile(r"agent (\d+) (.+)")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature at every message."""

    name: str
    source: str
    """"observation" or "state"."""
    codes: npt.NDArray[np.int64]
    """int64 [M], 0..values-1, numbered by first appearance."""
    values: int


def features(sent: SentMessages, *, observation_names: Sequence[str], state_names: Sequence[str]) -> list[Feature]:
    """All that take more than one value, without those that are another's double; observations first."""
    names = observation_names or [f"observation entry {place}" for place in range(sent.observation.shape[1])]
    candidates = [("observation", name, codes) for name, codes in _grouped(sent.observation, names)]
    if sent.state is not None:
        names = state_names or [f"state entry {place}" for place in range(sent.state.shape[1])]
        seen_by_sender, names = from_the_sender(sent.state, sent.sender, sent.agents, names)
        candidates += [("state", name, codes) for name, codes in _grouped(seen_by_sender, names)]
    found: dict[bytes, Feature] = {}
    for source, name, values in candidates:
        codes = _by_appearance(values)
        count = int(codes.max()) + 1
        if count > 1:
            found.setdefault(codes.tobytes(), Feature(name=name, source=source, codes=codes, values=count))
    return list(found.values())


def from_the_sender(
    state: npt.NDArray[np.float32], sender: npt.NDArray[np.int64], agents: int, names: Sequence[str]
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """States [M, S] with the entries of each agent put in order from the sender on, and their names."""
    of_agents: dict[str, dict[int, int]] = defaultdict(dict)
    for place, name in enumerate(names):
        if match := _OF_AN_AGENT.fullmatch(name):
            of_agents[match[2]][int(match[1])] = place
    turned, turned_names = state.copy(), list(names)
    for what, places in of_agents.items():
        if places.keys() != set(range(agents)):
            continue
        columns = np.array([places[slot] for slot in range(agents)])
        for offset in range(agents):
            turned[:, columns[offset]] = state[np.arange(len(state)), columns[(sender + offset) % agents]]
            turned_names[columns[offset]] = f"{_whose(offset, agents)} {what}"
    return turned, turned_names


def _whose(offset: int, agents: int) -> str:
    if offset == 0:
        return "own"
    if agents == 2:
        return "other agent's"
    return {1: "next agent's", agents - 1: "previous agent's"}.get(offset, f"{offset}th next agent's")


def _grouped(values: npt.NDArray[np.float32], names: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Names and values [M] of the features among entries [M, D]."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[name.partition(" = ")[0]].append(place)
    for name, places in groups.items():
        if len(places) > 1:
            part = values[:, places]
            yield name, np.where(part.max(1) > 0.5, part.argmax(1) + 1, 0)
        else:
            yield names[places[0]], _binned(values[:, places[0]])


def _binned(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    distinct = np.unique(values)
    if distinct.size <= BINS:
        return np.searchsorted(distinct, values)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _by_appearance(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    codes: npt.NDArray[np.int64] = np.argsort(np.argsort(first))[inverse.reshape(-1)]
    return codes
