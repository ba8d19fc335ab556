"""The links of a run as the coordinator sees them: where nodes dial, how they are started, what passed.

`Links` are plain ones: nodes dial one another, and nobody but they counts.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from coordinator.links.traffic import NOT_MEASURED, LinkTraffic, Provenance
from coordinator.serving.roster import Member
from coordinator.serving.supervisor import node_command

Link = tuple[int, int]
"""Slots (sender, receiver)."""


class Links:
    """An async context manager: inside, nodes may be started and dial one another.

    `listen` is where the coordinator of these nodes listens.
    """

    kind = "plain"
    http2 = tcp = ip = Provenance(label=NOT_MEASURED, source="nobody counts on these links")

    def __init__(self, *, team_size: int, listen: str = "127.0.0.1:0") -> None:
        self.listen = listen
        self.team_size = team_size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def command(self, slot: int, coordinator: str, *, join_timeout_s: float) -> list[str]:
        """The command line of a slot's node, for a coordinator at that address."""
        return node_command(coordinator, slot, join_timeout_s=join_timeout_s)

    def address_of(self, slot: int, member: Member) -> str:
        """Where the node of a slot is told to dial a member."""
        return member.peer_address

    def passed(self) -> dict[Link, LinkTraffic]:
        """Everything that travelled so far, by directed link."""
        return {link: LinkTraffic() for link in self.directed}

    def http2_bytes(self) -> list[int] | None:
        """Of `directed`, as of now, cheap enough to ask for at every step; None where that cannot be."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on what a reader of the numbers must know besides."""
        return ()

    @property
    def pairs(self) -> list[Link]:
        """Of slots, ascending; the lower one dials."""
        return [(low, high) for low in range(self.team_size) for high in range(low + 1, self.team_size)]

    @property
    def directed(self) -> list[Link]:
        return [(i, j) for i in range(self.team_size) for j in range(self.team_size) if i != j]
