"""What a run's messages cost, layer by layer, per directed link; each layer says how it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.links.message_table import EpisodeLinks
from coordinator.links.traffic import FrameCount, Provenance, total

LAYERS = ("latent", "codec", "protobuf", "http2", "ip")
"""From the content outwards; each one's bytes hold those of the one before it."""


@dataclass(frozen=True, kw_only=True)
class LinkRow:
    """One directed link while the episodes were played, connecting left out.  None: not measured, or not known.

    Bytes of `frames`, segments and IP packets are those that travelled from sender to receiver, whatever they serve.
    """

    sender: int
    receiver: int
    messages: int | None
    latent_bits: int | None
    codec_bytes: int
    protobuf_bytes: int | None
    http2_bytes: int | None
    """Of what serves this link's messages: what travelled with them, less the WINDOW_UPDATE frames among it, which
    serve the other direction, and with those that travelled against them."""
    frames: Mapping[str, FrameCount] | None
    """By type; types that did not occur are left out."""
    tcp_segments: int | None
    ip_bytes: int | None

    def layer_bytes(self, layer: str) -> float | None:
        """Bytes of all its messages at one of `LAYERS`."""
        if layer == "latent":
            return None if self.latent_bits is None else self.latent_bits / 8
        size: int | None = getattr(self, f"{layer}_bytes")
        return size


@dataclass(frozen=True, kw_only=True)
class WireReport:
    """All directed links of a run, ascending by (sender, receiver)."""

    kind: str
    """Of the links: "loopback" or "namespaces"."""
    links: tuple[LinkRow, ...]
    layers: Mapping[str, Provenance]
    """By layer, and for `messages` and `tcp`."""
    connecting_http2_bytes: int | None
    """On all links together, before the first step: prefaces, settings, headers, hellos."""
    connecting_ip_bytes: int | None
    conservation: tuple[str, ...]
    """What was compared and agreed, and what could not be compared, in sentences."""
    episodes: tuple[EpisodeLinks, ...]
    """The same messages step by step."""

    @property
    def messages(self) -> int | None:
        """None where the counts of a link are not known."""
        return total(link.messages for link in self.links)

    def bytes_per_message(self, layer: str) -> float | None:
        """Mean over all links' messages at one of `LAYERS`; None if it was not measured, or nothing was sent."""
        found = [link.layer_bytes(layer) for link in self.links]
        if not self.messages or any(size is None for size in found):
            return None
        return sum(size for size in found if size is not None) / self.messages

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the steps."""
        return {
            "kind": self.kind,
            "layers": {name: asdict(provenance) for name, provenance in self.layers.items()},
            "bytes_per_message": {layer: self.bytes_per_message(layer) for layer in LAYERS},
            "messages": self.messages,
            "links": [asdict(link) for link in self.links],
            "connecting_http2_bytes": self.connecting_http2_bytes,
            "connecting_ip_bytes": self.connecting_ip_bytes,
            "conservation": list(self.conservation),
        }
