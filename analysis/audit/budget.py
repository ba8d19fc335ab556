"""How much an audit tries.  Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.plan.options import check, option


@dataclass(frozen=True, kw_only=True)
class AuditBudget:
    """How much to try."""

    scripts: int = option(
        2, "episodes that are recorded and run again under every condition", name="episodes", at_least=1
    )
    steps: int = option(40, "largest number of steps of a recorded episode", at_least=2)
    limit: int = option(
        60,
        "largest number of ordered pairs, and of ordered triples, that are tested; the seed draws them",
        at_least=1,
    )

    def __post_init__(self) -> None:
        check(self)
