"""The messages of a trace with what their senders perceived.  For the language readers.

Axis legend: M messages, K categoricals, D observation size, S state size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from coordinator.recording.reader import Trace
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import SettingsError

Values = TypeVar("Values", bound=npt.NDArray[Any])


@dataclass(frozen=True, kw_only=True)
class SentMessages:
    """Messages that were sent to anybody, each once, ordered by run and step."""

    format: MessageFormat
    agents: int
    run: npt.NDArray[np.int64]
    """int64 [M]: which of the trace's (episode, sender) pairs, counted from 0.  What one agent says during an episode
    hangs together, so only whole runs are exchangeable."""
    episode: npt.NDArray[np.int64]
    """int64 [M], place of the episode in the trace."""
    step: npt.NDArray[np.int64]
    """int64 [M]."""
    sender: npt.NDArray[np.int64]
    """int64 [M]."""
    latent: npt.NDArray[np.int32]
    """int32 [M, K]."""
    observation: npt.NDArray[np.float32]
    """float32 [M, D], the sender's at that step."""
    state: npt.NDArray[np.float32] | None
    """float32 [M, S], the world's at that step; None where the trace has none."""

    @classmethod
    def of(cls, trace: Trace) -> SentMessages:
        """Raises SettingsError if nobody sent anything."""
        message = trace.header.message
        places = [
            (place, slot, step)
            for place, episode in enumerate(trace.episodes)
            for slot, step in np.argwhere(episode.sent().any(-1).T).tolist()
        ]
        if message is None or not places:
            raise SettingsError(
                "the trace holds no messages, so there is no language to read",
                remedy="Record a team whose bundles send messages, with its links open",
            )
        episode, sender, step = np.array(places, dtype=np.int64).T
        _, run = np.unique(episode * trace.header.agents + sender, return_inverse=True)
        state = None
        if trace.header.state_size:
            state = np.stack([_known(trace.episodes[e].state)[t] for e, _, t in places])
        return cls(
            format=message,
            agents=trace.header.agents,
            run=run.reshape(-1),
            episode=episode,
            step=step,
            sender=sender,
            latent=np.stack([_known(trace.episodes[e].latent)[t, i] for e, i, t in places]),
            observation=np.stack([trace.episodes[e].observation[t, i] for e, i, t in places]),
            state=state,
        )

    @property
    def runs(self) -> int:
        return int(self.run.max()) + 1

    def at(self, chosen: npt.NDArray[np.int64]) -> SentMessages:
        """Those at indices int [M'], ascending; runs are counted anew."""
        _, run = np.unique(self.run[chosen], return_inverse=True)
        return SentMessages(
            format=self.format,
            agents=self.agents,
            run=run.reshape(-1),
            episode=self.episode[chosen],
            step=self.step[chosen],
            sender=self.sender[chosen],
            latent=self.latent[chosen],
            observation=self.observation[chosen],
            state=None if self.state is None else self.state[chosen],
        )

    def some_runs(self, *, at_least: int, random: np.random.Generator) -> SentMessages:
        """Whole runs, chosen at random until they hold so many messages; all if there are not more."""
        lengths = np.bincount(self.run)
        order = random.permutation(self.runs)
        enough = int(np.searchsorted(np.cumsum(lengths[order]), at_least)) + 1
        return self.at(np.flatnonzero(np.isin(self.run, order[:enough])))


def _known(values: Values | None) -> Values:
    """What the trace's header says that every episode has."""
    assert values is not None
    return values
