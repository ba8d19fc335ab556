"""What a page is told, as JSON objects.  Made by the server's side, in its own thread.

hello:    once per page: what is run, and what has been found so far (see `PageEvents.hello`)
steps:    what happened since the last one, with its newest step in full (see `PageEvents.steps`); a continuous action
          is a list of numbers between -1 and 1
outcomes: {"outcomes": [[pass, episode, outcome, return, steps] …], "episodes": how many have ended}
state:    {"paused": …}
frame:    {"png": the world after the newest drawn step, base64}
over:     {}; the run has ended and nothing more will be told
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator.plan.plan import LABELS, Plan
from coordinator.watch.watcher import Outcome
from coordinator.world.trajectory import StepRecord
from heliograph import codecs
from heliograph.bundle import Bundle
from heliograph.environments.drawing import COLOURS
from heliograph.environments.png import png
from heliograph.environments.vector import EnvironmentSpec

Event = dict[str, Any]


class PageEvents:
    """Turns what a watcher kept into events.  Told of every step in order; some may be missing."""

    def __init__(self, plan: Plan, spec: EnvironmentSpec, *, title: str) -> None:
        self._plan, self._spec, self._title = plan, spec, title
        self.switched(plan.bundles)
        self._before: StepRecord | None = None

    def switched(self, bundles: Sequence[Bundle]) -> None:
        """The team goes on with these, which may write latents by other tables."""
        message = bundles[0].manifest.message
        self._codec = None if message is None else codecs.make(self._plan.codec, message, bundles[0].tables)

    def hello(self, outcomes: Iterable[Outcome], *, paused: bool) -> Event:
        plan, spec, message = self._plan, self._spec, self._plan.manifest.message
        return {
            "kind": "hello",
            "title": self._title,
            "environment": spec.id,
            "algorithm": plan.manifest.algorithm,
            "agents": spec.agents,
            "colours": [COLOURS[slot % len(COLOURS)].tolist() for slot in range(spec.agents)],
            "categoricals": 0 if message is None else message.categoricals,
            "classes": 0 if message is None else message.classes,
            "renders": spec.renders,
            "measure": spec.outcome,
            "blind_bound": spec.blind_bound,
            "blind_bound_measured": spec.blind_bound_measured,
            "passes": {name: LABELS[name] for name in plan.conditions},
            "episodes": plan.episodes,
            "episode_limit": spec.episode_limit,
            "codec": plan.codec,
            "channel": None if plan.channel is None else str(plan.channel),
            "message_deadline_s": plan.pace.message_deadline_s,
            "action_deadline_s": plan.pace.action_deadline_s,
            "paused": paused,
            "outcomes": [_outcome(outcome) for outcome in outcomes],
        }

    def steps(self, name: str, records: Sequence[StepRecord]) -> Event:
        """Of at least one record: `trail` has a row of numbers for each, `links` what became of the messages in all."""
        trail = [self._row(record) for record in records]
        newest = records[-1]
        return {
            "kind": "steps",
            "pass": name,
            "episode": newest.episode,
            "step": newest.step,
            "trail": trail,
            "links": _links(records),
            "present": newest.present.tolist(),
            "acted": newest.acted.tolist(),
            "action": [self._spelled(slot, row) for slot, row in enumerate(newest.action)],
            "reward": [round(float(reward), 4) for reward in newest.reward],
            "waited_ms": [None if np.isnan(waited) else round(waited * 1e3, 3) for waited in newest.waited_s],
            "latent": None if newest.latent is None else newest.latent.tolist(),
        }

    def _spelled(self, slot: int, row: npt.NDArray[Any]) -> int | list[float]:
        action = self._spec.rows.action(slot, row)
        return action if isinstance(action, int) else np.round(action.astype(np.float64), 3).tolist()

    def _row(self, record: StepRecord) -> list[float | None]:
        """[episode, step, bits said, latency in ms, longest wait in ms, messages read, messages masked]."""
        waited = None if np.isnan(record.waited_s).all() else round(float(np.nanmax(record.waited_s)) * 1e3, 3)
        masked = int(record.masked.sum())
        # Nobody hears anything at a first step, since nobody has spoken before.
        hearable = int((record.hears & record.acted[:, None]).sum()) if record.step else 0
        bits = self._bits(record)
        self._before = record
        return [record.episode, record.step, bits, round(record.latency_s * 1e3, 3), waited, hearable - masked, masked]

    def _bits(self, record: StepRecord) -> int:
        """Of the messages made at this step, once for each who could hear the speaker then."""
        if self._codec is None or record.latent is None:
            return 0
        before = self._before
        if (
            before is None
            or before.latent is None
            or (before.episode, before.step) != (record.episode, record.step - 1)
        ):
            before = None
        total = 0
        for speaker in np.flatnonzero((record.latent[:, 0] >= 0) & record.hears.any(0)).tolist():
            previous = None
            if before is not None and before.latent is not None and before.latent[speaker, 0] >= 0:
                previous = before.latent[speaker]
            bits = (
                self._codec.size_bits(record.latent[speaker], previous) + self._spec.action_space(speaker).message_bits
            )
            total += bits * int(record.hears[:, speaker].sum())
        return total


def outcomes(found: Iterable[Outcome], *, episodes: int) -> Event:
    return {"kind": "outcomes", "outcomes": [_outcome(outcome) for outcome in found], "episodes": episodes}


def frame(pixels: npt.NDArray[np.uint8]) -> Event:
    return {"kind": "frame", "png": base64.b64encode(png(pixels)).decode("ascii")}


def state(*, paused: bool) -> Event:
    return {"kind": "state", "paused": paused}


OVER: Event = {"kind": "over"}


def _links(records: Sequence[StepRecord]) -> list[list[int]]:
    """[listener, speaker, read, masked, lost in the simulated channel, delayed by it] of pairs that were in hearing.

    A pair in hearing at a first step, when there is nothing to read yet, is listed with zeros.
    """
    hears = np.zeros_like(records[0].hears)
    counts = np.zeros((*hears.shape, 4), dtype=np.int64)
    for record in records:
        hears |= record.hears
        # Who did not answer does not say what it read.
        read = record.hears & ~record.masked & record.acted[:, None] & (record.step > 0)
        counts += np.stack([read, record.masked, record.lost, record.delay > 0], axis=-1)
    return [[i, j, *counts[i, j].tolist()] for i, j in np.argwhere(hears).tolist()]


def _outcome(found: Outcome) -> list[Any]:
    return [found.pass_name, found.episode, found.outcome, found.team_return, found.steps]
