"""What findings are made of: verdicts, leaks with their evidence, influences with their delays."""

from __future__ import annotations

from dataclasses import dataclass

HOLDS, REFUTED, NOT_CHECKED = "holds", "refuted", "not checked"
"""Verdicts."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """An answer that no delivered message explains."""

    check: str
    perturbed: int | None
    observed: int
    script: int
    start: int
    """The step from which the perturbed agent saw something else."""
    step: int
    """The step at which the observed agent first answered otherwise."""
    allowed: int | None
    """The first step at which a message could have made it; None: no message could."""
    what: str

    def __str__(self) -> str:
        excuse = (
            "nothing that it read had changed" if self.allowed is None else f"a message could at step {self.allowed}"
        )
        cause = (
            "of nothing" if self.perturbed is None else f"of agent {self.perturbed}'s observations from {self.start}"
        )
        return (
            f"agent {self.observed} answers differently at step {self.step} of script {self.script} ({self.what}), "
            f"after a change {cause}; {excuse}"
        )


@dataclass(frozen=True, kw_only=True)
class Influence:
    """How far one agent's observations were seen to reach another, over all scripts that were tried."""

    check: str
    path: tuple[int, ...]
    """From the perturbed agent to the observed one; in the world's own graph just these two."""
    scripts: int
    delay: int | None
    """Steps from the first changed observation to the first changed answer, the shortest; None: nothing changed."""
    after_message: int | None
    """Steps from the last sender's first changed message to the first changed answer, the shortest."""
    actions: int
    """Steps at which the action differs."""
    latents: int
    """Steps at which the latent differs."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One verdict."""

    name: str
    verdict: str
    said: str
