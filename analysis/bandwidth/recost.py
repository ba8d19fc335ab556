"""What the messages of a trace would cost with any codec, layer by layer, without the environment or the team.

Codec and protobuf sizes are exact: what the nodes would have serialised.  HTTP/2 and IP are modelled, from what a
stream of this project sends in its steady state (`benchmarks/wire_bytes.py` measures it); connecting, greetings,
keepalives and lost packets are left out.  All of it is computed, and labelled so.

Axis legend: T steps, N agents, K categoricals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.information import Information, information
from coordinator.links.message_sizes import Writing, message_sizes
from coordinator.recording.reader import Trace, TraceEpisode
from coordinator.recording.schema import TraceHeader
from heliograph import codecs
from heliograph.codecs import Codec, LatentTables
from heliograph.errors import SettingsError

FRAMING_BYTES = 5 + 9
"""gRPC's prefix of a message, and the header of the DATA frame that holds it."""
WINDOW_UPDATE_BYTES = 2 * 13
"""gRPC answers every message that it reads with two of these, for the stream and for the connection."""
TCP_IP_BYTES = 20 + 32
"""IPv4, and TCP with timestamps; one packet per message, whose acknowledgement travels with the next one back."""
LAYERS = ("codec", "protobuf", "http2", "ip")


@dataclass(frozen=True, kw_only=True)
class MessageSizes:
    """The sizes of one episode's messages, int64 [T, N, N]: [t, i, j] of i's message of step t to j, 0 where none."""

    pass_name: str
    episode: int
    sent: npt.NDArray[np.bool_]
    """bool [T, N, N]."""
    codec_bits: npt.NDArray[np.int64]
    """Without the padding to whole bytes."""
    protobuf_bytes: npt.NDArray[np.int64]

    @property
    def http2_bytes(self) -> npt.NDArray[np.int64]:
        return self.protobuf_bytes + self.sent * (FRAMING_BYTES + WINDOW_UPDATE_BYTES)

    @property
    def ip_bytes(self) -> npt.NDArray[np.int64]:
        return self.http2_bytes + self.sent * TCP_IP_BYTES

    def bits(self, layer: str) -> npt.NDArray[np.int64]:
        """Sizes in bits at one of LAYERS."""
        return self.codec_bits if layer == "codec" else 8 * getattr(self, f"{layer}_bytes")


@dataclass(frozen=True, kw_only=True)
class Recost:
    """A trace's messages written with one codec."""

    spec: str
    lossless: bool
    agents: int
    information: Information | None
    """Of what receivers get to read with this codec; None if nothing was sent."""
    episodes: tuple[MessageSizes, ...]

    @cached_property
    def messages(self) -> int:
        """Sent, each counted once per listener."""
        return sum(int(episode.sent.sum()) for episode in self.episodes)

    @cached_property
    def agent_steps(self) -> int:
        return sum(len(episode.sent) for episode in self.episodes) * self.agents

    def link_bits(self, layer: str) -> npt.NDArray[np.int64]:
        """int64 [N, N]: all bits that i sent to j at a layer."""
        none = np.zeros((self.agents, self.agents), dtype=np.int64)
        return sum((episode.bits(layer).sum(0) for episode in self.episodes), none)

    def bits_per_message(self, layer: str) -> float | None:
        """Mean at a layer; None if nothing was sent."""
        return float(self.link_bits(layer).sum() / self.messages) if self.messages else None

    def step_bits(self, layer: str) -> npt.NDArray[np.float64]:
        """float64 [T]: bits that an agent sent at each step of an episode, on average over agents and the episodes
        that had such a step."""
        longest = max(len(episode.sent) for episode in self.episodes)
        sums, times = np.zeros(longest), np.zeros(longest)
        for episode in self.episodes:
            sums[: len(episode.sent)] += episode.bits(layer).sum((1, 2))
            times[: len(episode.sent)] += self.agents
        return sums / times

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        totals = {layer: int(self.link_bits(layer).sum()) for layer in LAYERS}
        said = None if self.information is None else self.information.message_bits
        return {
            "codec": self.spec,
            "lossless": self.lossless,
            "messages": self.messages,
            "agent_steps": self.agent_steps,
            "information": None if self.information is None else asdict(self.information.document()),
            "layers": [
                {"layer": "information", "how": "computed", "bits_per_message": said},
                *(
                    {
                        "layer": layer,
                        "how": "computed",
                        "bits_per_message": self.bits_per_message(layer),
                        "bits_per_agent_step": bits / self.agent_steps,
                    }
                    for layer, bits in totals.items()
                ),
            ],
            "links": [
                {"sender": i, "receiver": j, **{f"{layer}_bits": int(self.link_bits(layer)[i, j]) for layer in LAYERS}}
                for i in range(self.agents)
                for j in range(self.agents)
                if i != j
            ],
            "steps": {f"{layer}_bits_per_agent": self.step_bits(layer).tolist() for layer in LAYERS},
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """For CSV: one row per message, link and step."""
        for sizes in self.episodes:
            for step, sender, receiver in np.argwhere(sizes.sent).tolist():
                place = (step, sender, receiver)
                yield {
                    "codec": self.spec,
                    "pass": sizes.pass_name,
                    "episode": sizes.episode,
                    "step": step,
                    "sender": sender,
                    "receiver": receiver,
                    "codec_bits": int(sizes.codec_bits[place]),
                    **{f"{layer}_bytes": int(sizes.bits(layer)[place]) // 8 for layer in LAYERS[1:]},
                }


def recost(trace: Trace, codec_specs: Iterable[str], *, tables: LatentTables | None = None) -> list[Recost]:
    """Cost a trace's messages with each codec; `tables` are those of the bundles, if not the ones in the trace.

    Raises SettingsError for a trace without messages, an unknown codec, and one whose tables are missing or do not fit.
    """
    header = trace.header
    if header.message is None or not trace.episodes:
        raise SettingsError("the trace holds no messages that could be written with another codec")
    if tables is None and header.tables is not None:
        tables = LatentTables(header.tables)
    expected = (header.message.categoricals, header.message.classes)
    if tables is not None and tables.counts.shape != expected:
        raise SettingsError(f"tables are for {tables.counts.shape} categoricals and classes, the trace has {expected}")
    made = [codecs.make(spec, header.message, tables) for spec in codec_specs]
    return [
        Recost(
            spec=codec.spec,
            lossless=codec.lossless,
            agents=header.agents,
            information=information(trace if codec.lossless else _as_read(trace, codec)),
            episodes=tuple(_sizes(episode, codec, header) for episode in trace.episodes),
        )
        for codec in made
    ]


def _sizes(episode: TraceEpisode, codec: Codec, header: TraceHeader) -> MessageSizes:
    assert episode.latent is not None
    assert header.message is not None
    sent = episode.sent()
    codec_bits, protobuf_bytes = message_sizes(
        episode=episode.episode,
        sent=sent,
        latent=episode.latent,
        action=episode.action,
        written=Writing(rows=header.rows, codec=codec, message=header.message),
    )
    return MessageSizes(
        pass_name=episode.pass_name,
        episode=episode.episode,
        sent=sent,
        codec_bits=codec_bits,
        protobuf_bytes=protobuf_bytes,
    )


def _as_read(trace: Trace, codec: Codec) -> Trace:
    """The trace with the latents that a lossy codec leaves."""
    return replace(trace, episodes=tuple(_episode_as_read(episode, codec) for episode in trace.episodes))


def _episode_as_read(episode: TraceEpisode, codec: Codec) -> TraceEpisode:
    assert episode.latent is not None
    latent = episode.latent.copy()
    for step, slot in np.argwhere(episode.spoke).tolist():
        payload, fell_back = codec.encode(latent[step, slot])
        latent[step, slot] = codec.decode(payload, None, fell_back)
    return replace(episode, latent=latent)
