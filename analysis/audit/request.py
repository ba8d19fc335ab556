"""How much an audit tries.  Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.plan.options import check, option


@dataclass(frozen=True, kw_only=True)
class Request:
    """How much to try."""

    scripts: int = option(
        2, "episodes that are recorded and run again under every condition", name="episodes", at_least=1
    )
    steps: int = option(40, "steps of such an episode at most", at_least=2)
    limit: int = option(
        60,
        "ordered pairs, and as many ordered triples, that are tried at most; the seed draws them from a larger team's",
        at_least=1,
    )

    def __post_init__(self) -> None:
        check(self)
