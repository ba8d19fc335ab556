"""Who was sent what at which step, worked out from what the coordinator saw of each step.

The nodes count the same messages at their ends and the proxy counts what carried them; `reconciliation.py` compares.
Axis legend: T steps of an episode, N agents, K categoricals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coordinator.links.message_sizes import Writing, message_sizes
from coordinator.world import delivery
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.codecs import Codec
from heliograph.manifest import Manifest

GRPC_PREFIX_BYTES = 5
"""Of each message in its DATA frames: whether it is compressed, and its length."""


@dataclass(frozen=True, kw_only=True)
class EpisodeLinks:
    """The messages of one episode; entry [t, i, j] is about what i sent to j of what it chose at step t."""

    pass_name: str
    episode: int
    sent: npt.NDArray[np.bool_]
    """bool [T, N, N]."""
    latent_bits: npt.NDArray[np.int64]
    """int64 [T, N, N], as the codec counts them, without padding."""
    codec_bytes: npt.NDArray[np.int64]
    """int64 [T, N, N]."""
    protobuf_bytes: npt.NDArray[np.int64]
    """int64 [T, N, N]."""
    http2_bytes: npt.NDArray[np.int64] | None
    """int64 [T, N, N]: what travelled from i to j between the last answer to the step before and that to this step;
    None where it was not measured.  A message travels after its step's answer: mostly that of t is in entry t + 1."""


class _Seen(NamedTuple):
    """What of a step is kept: observations would fill the memory."""

    episode: int
    present: npt.NDArray[np.bool_]
    hears: npt.NDArray[np.bool_]
    action: npt.NDArray[np.int64 | np.float32]
    latent: npt.NDArray[np.int32]
    http2_bytes: list[int] | None


class MessageTable:
    """Takes a run's steps as they are played, cheaply, and works out later what was sent.

    `http2_bytes` tells what has travelled so far, by directed link, ascending; None where nobody knows.
    """

    def __init__(
        self, *, team_size: int, manifest: Manifest, codec: Codec, http2_bytes: Callable[[], list[int] | None]
    ) -> None:
        assert manifest.message is not None
        self._size, self._http2_bytes = team_size, http2_bytes
        self._written = Writing(rows=manifest.received_actions, codec=codec, message=manifest.message)
        self._conditions: list[tuple[str, list[_Seen]]] = []
        self._before: list[int] | None = None
        self.doubts: dict[int, str] = {}
        """By slot: why not every message of its node is known."""

    def begin(self) -> None:
        """What travels from now on belongs to steps."""
        self._before = self._http2_bytes()

    def step(self, pass_name: str, record: StepRecord) -> None:
        """Take a step whose latents were reported."""
        assert record.latent is not None
        for slot in np.flatnonzero(record.present & ~record.acted).tolist():
            self.doubts[slot] = "its sender did not answer every step in time"
        if record.step == 0:
            self._conditions.append((pass_name, []))
        seen = _Seen(record.episode, record.present, record.hears, record.action, record.latent, self._http2_bytes())
        self._conditions[-1][1].append(seen)

    def episode(self, result: EpisodeResult) -> None:
        """The episode of the last steps is over."""
        if result.illegal:
            self.doubts |= dict.fromkeys(range(self._size), "actions were illegal, and messages hold what was meant")

    def episodes(self) -> list[EpisodeLinks]:
        """Everything so far, unfinished episodes included."""
        before, episodes = self._before, []
        for pass_name, steps in self._conditions:
            episodes.append(self._links(pass_name, steps, before))
            before = steps[-1].http2_bytes
        return episodes

    def _links(self, pass_name: str, steps: list[_Seen], before: list[int] | None) -> EpisodeLinks:
        latent, action = (np.array([getattr(step, name) for step in steps]) for name in ("latent", "action"))
        present, hears = (np.array([getattr(step, name) for step in steps]) for name in ("present", "hears"))
        sent = delivery.sent(spoke=latent[:, :, 0] >= 0, present=present, hears=hears)
        episode = steps[0].episode
        latent_bits, protobuf_bytes = message_sizes(
            episode=episode,
            sent=sent,
            latent=latent,
            action=action,
            written=self._written,
        )
        return EpisodeLinks(
            pass_name=pass_name,
            episode=episode,
            sent=sent,
            latent_bits=latent_bits,
            codec_bytes=-(-latent_bits // 8),
            protobuf_bytes=protobuf_bytes,
            http2_bytes=None if before is None else self._travelled(steps, before),
        )

    def _travelled(self, steps: list[_Seen], before: list[int]) -> npt.NDArray[np.int64]:
        stamps = np.array([before, *(step.http2_bytes for step in steps)], dtype=np.int64)
        travelled = np.zeros((len(steps), self._size, self._size), dtype=np.int64)
        travelled[:, ~np.eye(self._size, dtype=bool)] = np.diff(stamps, axis=0)
        return travelled
