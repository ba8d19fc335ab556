"""One condition and one script: two plays compared, and what follows from it added to the findings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.audit.answers import NEVER, Answers, Difference, difference
from analysis.audit.condition import ISOLATION, LINK, TWO_HOPS, WORLD, Condition
from analysis.audit.evidence import Influence, Leak
from analysis.audit.finding import Findings, step_or_none


def assess(
    findings: Findings, condition: Condition, *, sequence: int, start: int, plain: Answers, changed: Answers
) -> None:
    """Compare the plays of a script without and with the perturbation from `start` on."""
    found = difference(plain, changed)
    findings.runs[condition.check] = findings.runs.get(condition.check, 0) + 1
    first, allowed = found.first(), found.allowed(perturbed=condition.perturbed, start=start)
    for agent in np.flatnonzero(first < allowed):
        findings.leaks.append(
            Leak(
                check=condition.check,
                perturbed=condition.perturbed,
                observed=int(agent),
                script=sequence,
                start=start,
                step=int(first[agent]),
                allowed=step_or_none(allowed[agent]),
                what=_what(found, plain, changed, step=int(first[agent]), agent=int(agent)),
            )
        )
    if condition.perturbed is None:
        return
    if first[condition.perturbed] < NEVER:
        findings.responsive.add(condition.perturbed)
    if condition.check == ISOLATION:
        findings.isolated.add(condition.perturbed)
    for path in _paths(condition, findings.agents):
        findings.add_influence(_influence(condition.check, path, found, first, start))


def _paths(condition: Condition, agents: int) -> list[tuple[int, ...]]:
    if condition.check in (LINK, TWO_HOPS):
        return [condition.path]
    perturbed = condition.perturbed
    if condition.check == WORLD and perturbed is not None:
        return [(perturbed, other) for other in range(agents) if other != perturbed]
    return []


def _influence(
    check: str, path: tuple[int, ...], found: Difference, first: npt.NDArray[np.int64], start: int
) -> Influence:
    sender, observed = path[-2], path[-1]
    reached = first[observed] < NEVER
    return Influence(
        check=check,
        path=path,
        scripts=1,
        delay=int(first[observed] - start) if reached else None,
        after_message=int(first[observed] - first[sender]) if reached and first[sender] < NEVER else None,
        actions=int(found.action[:, observed].sum()),
        latents=int((found.categoricals[:, observed] > 0).sum()),
    )


def _what(found: Difference, plain: Answers, changed: Answers, *, step: int, agent: int) -> str:
    parts = []
    if found.action[step, agent]:
        parts.append(f"action {changed.action[step, agent]} instead of {plain.action[step, agent]}")
    if found.categoricals[step, agent]:
        parts.append(f"{found.categoricals[step, agent]} categoricals of its latent")
    return " and ".join(parts)
