"""Who was sent what at which step, worked out from what the coordinator saw of each step.

The nodes count the same messages at their ends and the proxy counts what carried them; `reconciliation.py` compares.
Axis legend: T steps of an episode, N agents, K categoricals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coordinator import exchange
from coordinator.trajectory import EpisodeResult, StepRecord
from heliograph.codecs.codec import Codec
from heliograph.pb import latent_pb2, peer_pb2

GRPC_PREFIX_BYTES = 5
"""Of each message in its DATA frames: whether it is compressed, and its length."""


@dataclass(frozen=True, kw_only=True)
class EpisodeLinks:
    """The messages of one episode; entry [t, i, j] is about what i sent to j of what it chose at step t."""

    pass_name: str
    episode: int
    sent: np.ndarray
    """bool [T, N, N]."""
    latent_bits: np.ndarray
    """int64 [T, N, N], as the codec counts them, without padding."""
    codec_bytes: np.ndarray
    """int64 [T, N, N]."""
    protobuf_bytes: np.ndarray
    """int64 [T, N, N]."""
    http2_bytes: np.ndarray | None
    """int64 [T, N, N]: what travelled from i to j between the last answer to the step before and that to this step;
    None where it was not measured.  A message travels after its step's answer: mostly that of t is in entry t + 1."""


class Ledger:
    """Takes a run's steps as they are played, cheaply, and works out later what was sent."""

    def __init__(self, *, team_size: int, codec: Codec, http2_bytes: Callable[[], list[int] | None]) -> None:
        self._size, self._codec, self._http2_bytes = team_size, codec, http2_bytes
        self._played: list[tuple[str, list[tuple[StepRecord, list[int] | None]]]] = []
        self._before: list[int] | None = None
        self.answered = True
        """So far every agent answered every step with a legal action, so its message is known."""

    def begin(self) -> None:
        """What travels from now on belongs to steps."""
        self._before = self._http2_bytes()

    def step(self, pass_name: str, record: StepRecord) -> None:
        if record.step == 0:
            self._played.append((pass_name, []))
        self._played[-1][1].append((record, self._http2_bytes()))

    def episode(self, result: EpisodeResult) -> None:
        self.answered &= not result.idle and not result.illegal

    def episodes(self) -> list[EpisodeLinks]:
        """Everything so far, unfinished episodes included."""
        before, episodes = self._before, []
        for pass_name, steps in self._played:
            episodes.append(self._account(pass_name, [record for record, _ in steps], self._travelled(before, steps)))
            before = steps[-1][1]
        return episodes

    def _travelled(
        self, before: list[int] | None, steps: list[tuple[StepRecord, list[int] | None]]
    ) -> np.ndarray | None:
        if before is None:
            return None
        stamps = np.array([before, *(stamp for _, stamp in steps)], dtype=np.int64)
        travelled = np.zeros((len(steps), self._size, self._size), dtype=np.int64)
        travelled[:, ~np.eye(self._size, dtype=bool)] = np.diff(stamps, axis=0)
        return travelled

    def _account(self, pass_name: str, records: list[StepRecord], travelled: np.ndarray | None) -> EpisodeLinks:
        hears = np.array([record.hears for record in records])
        present = np.array([record.present for record in records])
        spoke = np.array([_spoke(record) for record in records])
        sent = exchange.sent(spoke=spoke, present=present, hears=hears)
        sizes = np.zeros((3, *sent.shape), dtype=np.int64)
        for step, sender in zip(*np.nonzero(sent.any(-1)), strict=True):
            size = _Sizes(self._codec, records, int(step), int(sender))
            for receiver in np.flatnonzero(sent[step, sender]):
                follows = self._codec.needs_previous and step > 0 and bool(sent[step - 1, sender, receiver])
                sizes[:, step, sender, receiver] = size.after_previous if follows else size.alone
        return EpisodeLinks(
            pass_name=pass_name,
            episode=records[0].episode,
            sent=sent,
            latent_bits=sizes[0],
            codec_bytes=sizes[1],
            protobuf_bytes=sizes[2],
            http2_bytes=travelled,
        )


def _spoke(record: StepRecord) -> np.ndarray:
    """bool [N]."""
    return np.zeros_like(record.acted) if record.latent is None else record.latent[:, 0] >= 0


class _Sizes:
    """Latent bits, codec bytes and protobuf bytes of one message, to whoever has the one before it and who has not."""

    def __init__(self, codec: Codec, records: list[StepRecord], step: int, sender: int) -> None:
        self._codec, self._records, self._step, self._sender = codec, records, step, sender

    @cached_property
    def alone(self) -> tuple[int, int, int]:
        return self._sizes(None)

    @cached_property
    def after_previous(self) -> tuple[int, int, int]:
        return self._sizes(self._latent(self._step - 1))

    def _latent(self, step: int) -> np.ndarray:
        latent = self._records[step].latent
        assert latent is not None, "who spoke said a latent"
        return latent[self._sender]

    def _sizes(self, previous: np.ndarray | None) -> tuple[int, int, int]:
        record, latent = self._records[self._step], self._latent(self._step)
        encoded = self._codec.encode(latent, previous)
        message = peer_pb2.LatentMessage(
            episode=record.episode, step=record.step, latent=encoded.payload, action=int(record.action[self._sender])
        )
        if encoded.fell_back:
            message.codec = latent_pb2.LATENT_CODEC_BIT_PACKED
        return self._codec.size_bits(latent, previous), len(encoded.payload), message.ByteSize()
