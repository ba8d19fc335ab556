"""Hands out bundles: the tar of a slot in chunks, its digest at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from heliograph.bundle import Bundle
from heliograph.errors import BundleMismatch
from heliograph.rpc import BUNDLE_CHUNK_BYTES


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Part of a tarred bundle; `digest` is empty but in the last one."""

    data: bytes
    digest: str


class BundleStore:
    """The bundles of a team, by slot: the current ones and, while nodes prepare for them, those that come next."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        if not bundles:
            raise BundleMismatch("a team has at least one bundle")
        self._bundles = _checked(bundles, team_size=len(bundles))
        self._next: tuple[Bundle, ...] = ()

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(bundle.digest for bundle in self._bundles)

    @contextmanager
    def offering(self, bundles: Sequence[Bundle]) -> Iterator[None]:
        """Inside, these can be had as well, by their digests.  Raises BundleMismatch if they are for another team."""
        self._next = _checked(bundles, team_size=len(self._bundles))
        try:
            yield
        finally:
            self._next = ()

    def switch(self) -> None:
        """Those that are offered are the current ones from now on."""
        assert self._next, "bundles are being offered"
        self._bundles = self._next

    def has(self, slot: int) -> bool:
        return slot < len(self._bundles)

    def bundle(self, slot: int, digest: str = "") -> Bundle:
        """That of a slot, which must exist: the current one, or the one of a digest.

        Raises BundleMismatch, with all digests, if that can no longer be had, or not yet.
        """
        offered = [team[slot] for team in (self._bundles, self._next) if team]
        for bundle in offered:
            if digest in ("", bundle.digest):
                return bundle
        there = " and ".join(bundle.digest[:12] for bundle in offered)
        raise BundleMismatch(f"slot {slot} asks for bundle {digest[:12]}, there is {there}")

    @staticmethod
    def chunks(bundle: Bundle, *, chunk_bytes: int = BUNDLE_CHUNK_BYTES) -> Iterator[Chunk]:
        """Yield a bundle in order."""
        # Packed when asked for: kept tars would double what the coordinator holds of every policy.
        tar = bundle.to_tar()
        for start in range(0, len(tar), chunk_bytes):
            last = start + chunk_bytes >= len(tar)
            yield Chunk(data=tar[start : start + chunk_bytes], digest=bundle.digest if last else "")


def _checked(bundles: Sequence[Bundle], *, team_size: int) -> tuple[Bundle, ...]:
    for slot, bundle in enumerate(bundles):
        bundle.check_slot(slot=slot, team_size=team_size)
    return tuple(bundles)
