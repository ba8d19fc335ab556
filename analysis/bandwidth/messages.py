"""Every message of a measured run, per directed link and step, at each layer, as a gzipped CSV."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from coordinator.links.wire_report import WireReport
from heliograph.errors import OutputFailed

FILE = "messages.csv.gz"
COLUMNS = (
    *("pass", "episode", "step", "sender", "receiver", "messages"),
    *("latent_bits", "codec_bytes", "protobuf_bytes", "http2_bytes"),
)


def write_messages(path: Path, wire: WireReport) -> None:
    """One row for each step and link that carried anything.  Raises OutputFailed if the file cannot be written.

    Bytes of HTTP/2 are those that travelled in that step, which for a message is mostly the step after its own.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(_rows(wire))
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", remedy="Name another folder: --out") from error


def _rows(wire: WireReport) -> Iterator[list[str | int | None]]:
    for links in wire.episodes:
        travelled = links.http2_bytes
        busy = links.sent if travelled is None else links.sent | (travelled > 0)
        for place in map(tuple, np.argwhere(busy).tolist()):
            layers = (links.latent_bits, links.codec_bytes, links.protobuf_bytes)
            sizes = [int(layer[place]) for layer in (links.sent, *layers)]
            http2 = None if travelled is None else int(travelled[place])
            yield [links.pass_name, links.episode, *place, *sizes, http2]
