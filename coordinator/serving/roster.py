"""Who holds which slot: one live node each, with the bundle that the run is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heliograph.errors import BundleMismatch
from heliograph.rpc import PROTOCOL_VERSION


@dataclass(frozen=True, kw_only=True)
class Member:
    """A live node as its peers know it."""

    slot: int
    peer_address: str
    instance: str
    """New for every process start."""
    bundle_digest: str


class Roster:
    """The slots of a team and the nodes that hold them.  `digests` are those of the run's bundles, by slot."""

    def __init__(self, digests: Sequence[str]) -> None:
        self._digests = tuple(digests)
        self._members: dict[int, Member] = {}
        self._seen: dict[int, list[str]] = {}

    @property
    def team_size(self) -> int:
        return len(self._digests)

    @property
    def members(self) -> tuple[Member, ...]:
        """The live nodes, ascending by slot."""
        return tuple(self._members[slot] for slot in sorted(self._members))

    @property
    def replaced(self) -> frozenset[int]:
        """Slots that more than one process has held, or whose process has left."""
        return frozenset(
            slot for slot, instances in self._seen.items() if len(instances) > 1 or slot not in self._members
        )

    @property
    def seen(self) -> dict[int, tuple[str, ...]]:
        """By slot all processes that have held it, in order."""
        return {slot: tuple(instances) for slot, instances in self._seen.items()}

    def check(self, member: Member, *, protocol_version: int) -> None:
        """Raises BundleMismatch if the node of a slot that exists speaks another protocol or holds another bundle."""
        if protocol_version != PROTOCOL_VERSION:
            raise BundleMismatch(
                f"node of slot {member.slot} has protocol version {protocol_version}, this run {PROTOCOL_VERSION}",
                remedy="Install the same version of heliograph on both",
            )
        expected = self._digests[member.slot]
        if member.bundle_digest != expected:
            raise BundleMismatch(
                f"node of slot {member.slot} holds bundle {member.bundle_digest[:12] or 'none'}, "
                f"this run is about {expected[:12]}",
                remedy="Start it without --bundle to fetch the right one",
            )

    def admit(self, member: Member, *, counts_on: bool = False) -> None:
        """Give the member its slot, which nobody has.  `counts_on`: if it had the slot last, its counters go on."""
        assert member.slot not in self._members, "a slot has one live node"
        self._members[member.slot] = member
        seen = self._seen.setdefault(member.slot, [])
        if not (counts_on and seen[-1:] == [member.instance]):
            seen.append(member.instance)

    def switch(self, digests: Sequence[str]) -> None:
        """From now on the run is about these bundles, and so is every live node."""
        assert len(digests) == self.team_size
        self._digests = tuple(digests)
        self._members = {slot: replace(member, bundle_digest=digests[slot]) for slot, member in self._members.items()}

    def remove(self, member: Member) -> None:
        """Free the member's slot."""
        assert self._members.get(member.slot) is member, "only a live member leaves"
        del self._members[member.slot]
