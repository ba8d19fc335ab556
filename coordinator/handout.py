"""Hands out bundles: the tar of a slot in chunks, its digest at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heliograph.bundle import Bundle
from heliograph.errors import BundleMismatch
from heliograph.rpc import BUNDLE_CHUNK_BYTES


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Part of a tarred bundle; `digest` is empty but in the last one."""

    data: bytes
    digest: str


class Handout:
    """The bundles of a team, by slot."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        if not bundles:
            raise BundleMismatch("a team has at least one bundle")
        for slot, bundle in enumerate(bundles):
            bundle.check_slot(slot=slot, team_size=len(bundles))
        self._bundles = tuple(bundles)

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(bundle.digest for bundle in self._bundles)

    def has(self, slot: int) -> bool:
        return slot < len(self._bundles)

    def chunks(self, slot: int, *, chunk_bytes: int = BUNDLE_CHUNK_BYTES) -> Iterator[Chunk]:
        """Yield the bundle of a slot, which must exist, in order."""
        bundle = self._bundles[slot]
        # Packed when asked for: kept tars would double what the coordinator holds of every policy.
        tar = bundle.to_tar()
        for start in range(0, len(tar), chunk_bytes):
            last = start + chunk_bytes >= len(tar)
            yield Chunk(data=tar[start : start + chunk_bytes], digest=bundle.digest if last else "")
