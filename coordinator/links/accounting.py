"""The account of a run over counted links: begun when they are connected, fed with each step, closed with a report.

Imported by `coordinator.running.distributed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.links.links import Link, Links
from coordinator.links.message_table import EpisodeLinks, MessageTable
from coordinator.links.reconciliation import Recorded, reconcile
from coordinator.links.traffic import COMPUTED, MEASURED, FrameCount, LinkTraffic, Provenance, total
from coordinator.links.wire_report import LinkRow, WireReport
from coordinator.serving.conservation import LinkBalance, Reading
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.codecs import Codec
from heliograph.manifest import Manifest

CONTENT = {
    "messages": Provenance(label=MEASURED, source="the nodes' counters"),
    "latent": Provenance(label=MEASURED, source="the nodes' counters of payload bits, as the codec counts them"),
    "codec": Provenance(label=COMPUTED, source="the payload bits of each recorded message, in whole bytes"),
    "protobuf": Provenance(label=MEASURED, source="the nodes' counters of serialised bytes"),
}


class Account:
    """What passed over `links`, by whom it was counted, and whether the counts agree."""

    def __init__(self, links: Links, *, codec: Codec, manifest: Manifest) -> None:
        self._links = links
        self._messages = MessageTable(
            team_size=links.team_size, manifest=manifest, codec=codec, http2_bytes=links.http2_bytes
        )
        self._connecting: dict[Link, LinkTraffic] = {}

    def begin(self) -> None:
        """Links are connected; what passes from now on is the play."""
        self._connecting = self._links.passed()
        self._messages.begin()

    def step(self, pass_name: str, record: StepRecord) -> None:
        self._messages.step(pass_name, record)

    def episode(self, pass_name: str, result: EpisodeResult) -> None:
        self._messages.episode(result)

    def report(self, reading: Reading, *, doubt: str | None) -> WireReport:
        """Everything since `begin`.  `doubt` is why not every message may have been recorded.

        Raises MessageError if counts differ that must be equal.
        """
        so_far = self._links.passed()
        passed = {link: so_far[link].since(self._connecting[link]) for link in so_far}
        episodes = self._messages.episodes()
        recorded = _recorded(episodes, self._links)
        doubts = self._messages.doubts if doubt is None else dict.fromkeys(range(self._links.team_size), doubt)
        conservation = reconcile(reading.links, recorded=recorded, passed=passed, doubts=doubts)
        return WireReport(
            kind=self._links.kind,
            links=tuple(_row(balance, recorded, passed) for balance in reading.links),
            layers={**CONTENT, "http2": self._links.http2, "tcp": self._links.tcp, "ip": self._links.ip},
            connecting_http2_bytes=total(before.http2_bytes for before in self._connecting.values()),
            connecting_ip_bytes=total(before.ip_bytes for before in self._connecting.values()),
            conservation=(*conservation, *self._links.remarks),
            episodes=tuple(episodes),
        )


def _recorded(episodes: Sequence[EpisodeLinks], links: Links) -> dict[Link, Recorded]:
    none = np.zeros((links.team_size, links.team_size), dtype=np.int64)
    sums = {
        name: sum((getattr(episode, name).sum(0) for episode in episodes), none)
        for name in ("sent", "latent_bits", "codec_bytes", "protobuf_bytes")
    }
    return {
        link: Recorded(
            messages=int(sums["sent"][link]),
            latent_bits=int(sums["latent_bits"][link]),
            codec_bytes=int(sums["codec_bytes"][link]),
            protobuf_bytes=int(sums["protobuf_bytes"][link]),
        )
        for link in links.directed
    }


def _row(balance: LinkBalance, recorded: Mapping[Link, Recorded], passed: Mapping[Link, LinkTraffic]) -> LinkRow:
    link = balance.sender, balance.receiver
    return LinkRow(
        sender=balance.sender,
        receiver=balance.receiver,
        messages=balance.sent,
        latent_bits=balance.sent_bits,
        codec_bytes=recorded[link].codec_bytes,
        protobuf_bytes=balance.sent_bytes,
        http2_bytes=_serving(passed, link),
        frames=_occurring(passed[link]),
        tcp_segments=passed[link].tcp_segments,
        ip_bytes=passed[link].ip_bytes,
    )


def _serving(passed: Mapping[Link, LinkTraffic], link: Link) -> int | None:
    """HTTP/2 bytes that serve a link's messages: a window update is caused by what came the other way."""
    mine, other = passed[link], passed[link[1], link[0]]
    if mine.http2_bytes is None or mine.frames is None or other.frames is None:
        return mine.http2_bytes
    return mine.http2_bytes - mine.frames["WINDOW_UPDATE"].bytes + other.frames["WINDOW_UPDATE"].bytes


def _occurring(passed: LinkTraffic) -> dict[str, FrameCount] | None:
    return None if passed.frames is None else {kind: count for kind, count in passed.frames.items() if count.bytes}
