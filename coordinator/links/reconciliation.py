"""Three counts of the same messages must agree: the coordinator's records, the nodes' counters, the proxy's frames.

Where one of them cannot know, the link is named with the reason; where they differ, somebody miscounts: an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.links.links import Link
from coordinator.links.message_table import GRPC_PREFIX_BYTES
from coordinator.links.traffic import LinkTraffic
from coordinator.serving.conservation import LinkBalance
from heliograph.errors import MessageError
from heliograph.http2 import HEADER_BYTES


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the records say of one directed link."""

    messages: int
    latent_bits: int
    codec_bytes: int
    protobuf_bytes: int


def reconcile(
    balances: Sequence[LinkBalance],
    *,
    recorded: Mapping[Link, Recorded],
    passed: Mapping[Link, LinkTraffic],
    doubts: Mapping[int, str],
) -> tuple[str, ...]:
    """Compare all directed links and tell what agreed.  `doubts` say, by sender, why its records may be incomplete.

    Raises MessageError, naming the link, if two counts differ that must be equal.
    """
    agreed, framed, unsure = 0, 0, {}
    for balance in balances:
        link = balance.sender, balance.receiver
        reason = _doubt(balance) or doubts.get(balance.sender)
        if reason is None:
            _compare(link, "messages sent", records=recorded[link].messages, nodes=balance.sent)
            _compare(link, "bits of latents", records=recorded[link].latent_bits, nodes=balance.sent_bits)
            _compare(link, "bytes of protobuf", records=recorded[link].protobuf_bytes, nodes=balance.sent_bytes)
            agreed += 1
        else:
            unsure[link] = reason
        framed += _frames_agree(balance, passed[link])
    total = len(balances)
    sentences = [f"{agreed} of {total} links: the records name exactly the messages and bytes that the nodes counted."]
    if any(link.frames is not None for link in passed.values()):
        sentences.append(f"{framed} of {total} links: the DATA frames that passed hold exactly these bytes.")
    sentences += [f"{sender}->{receiver} could not be compared: {why}." for (sender, receiver), why in unsure.items()]
    return tuple(sentences)


def _doubt(balance: LinkBalance) -> str | None:
    if balance.missing is None:
        return balance.inexact["missing"].why
    if balance.send_skipped:
        return f"{balance.send_skipped} messages were not sent, because there was no stream or nobody listening"
    return None


def _frames_agree(balance: LinkBalance, passed: LinkTraffic) -> bool:
    """False where frames cannot be compared: none were told apart, or a connection broke with what was in it."""
    if passed.frames is None or passed.frames["UNPARSED"].bytes or passed.connections or balance.missing != 0:
        return False
    # What is missing is known, so both ends have told their counts.
    assert balance.sent is not None
    assert balance.sent_bytes is not None
    data = passed.frames["DATA"]
    _compare(
        (balance.sender, balance.receiver),
        "bytes in DATA frames",
        frames=data.bytes - HEADER_BYTES * data.frames,
        nodes=balance.sent_bytes + GRPC_PREFIX_BYTES * balance.sent,
    )
    return True


def _compare(link: Link, what: str, **counts: int | None) -> None:
    (one, first), (other, second) = counts.items()
    if first != second:
        raise MessageError(
            f"link {link[0]}->{link[1]}: {first} {what} by the {one}, {second} by the {other}",
            remedy="One of the two miscounts; compare the versions of coordinator and nodes",
        )
