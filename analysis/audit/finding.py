"""What an audit finds: leaks with their evidence, influences with their delays, and a verdict for every check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from analysis.audit.answers import NEVER
from analysis.audit.condition import ISOLATION, LINK, REPEAT, TWO_HOPS, WORLD, Conditions
from analysis.audit.document import AuditDocument, Matrices
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED, Check, Influence, Leak


@dataclass(kw_only=True)
class Findings:
    """Everything so far; grows while the audit runs, so that Ctrl-C leaves what was found."""

    title: str
    environment: str
    agents: int
    greedy: bool
    run_seed: int
    bundles: tuple[str, ...]
    conditions: Conditions
    world_share: list[list[float]] = field(default_factory=list)
    """[j][i]: the share of the scripts' steps at which the world lets i hear j."""
    runs: dict[str, int] = field(default_factory=dict)
    """Plays compared, by check."""
    leaks: list[Leak] = field(default_factory=list)
    influences: dict[tuple[str, tuple[int, ...]], Influence] = field(default_factory=dict)
    isolated: set[int] = field(default_factory=set)
    """Agents that were perturbed while nobody could hear them."""
    untested: list[str] = field(default_factory=list)
    responsive: set[int] = field(default_factory=set)
    """Agents that answered otherwise when they themselves saw something else."""
    others: list[Check] = field(default_factory=list)
    """Verdicts on equality and on the processes."""
    interrupted: bool = False

    @property
    def checks(self) -> list[Check]:
        """Every verdict, in the order of the report."""
        return [*(self._behaviour(name) for name in (REPEAT, ISOLATION, LINK, TWO_HOPS, WORLD)), *self.others]

    @property
    def refuted(self) -> bool:
        return any(check.verdict == REFUTED for check in self.checks)

    def add_influence(self, new: Influence) -> None:
        """Join what one more script has shown of a path."""
        key = (new.check, new.path)
        old = self.influences.get(key)
        self.influences[key] = (
            new
            if old is None
            else Influence(
                check=new.check,
                path=new.path,
                scripts=old.scripts + new.scripts,
                delay=_least(old.delay, new.delay),
                after_message=_least(old.after_message, new.after_message),
                actions=old.actions + new.actions,
                latents=old.latents + new.latents,
            )
        )

    def matrix(self, check: str) -> list[list[int | None]]:
        """[j][i]: steps until j's observations reach i, for `LINK` (j -> i alone) or `WORLD`; None: they do not."""
        delays = {path: found.delay for (name, path), found in self.influences.items() if name == check}
        return [[delays.get((j, i)) for i in range(self.agents)] for j in range(self.agents)]

    @property
    def unused(self) -> list[tuple[int, int]]:
        """Links that were tried alone and changed nothing."""
        links = (found for (check, _), found in self.influences.items() if check == LINK)
        return [(found.path[0], found.path[1]) for found in links if found.delay is None]

    def document(self) -> AuditDocument:
        """What audit.json holds."""
        return AuditDocument(
            title=self.title,
            environment=self.environment,
            agents=self.agents,
            greedy=self.greedy,
            run_seed=self.run_seed,
            bundles=self.bundles,
            interrupted=self.interrupted,
            refuted=self.refuted,
            checks=tuple(self.checks),
            influence=Matrices(
                one_link=tuple(map(tuple, self.matrix(LINK))), world_graph=tuple(map(tuple, self.matrix(WORLD)))
            ),
            world_share=tuple(map(tuple, self.world_share)),
            unused_links=tuple(self.unused),
            influences=tuple(self.influences.values()),
            leaks=tuple(self.leaks),
            untested=tuple(self.untested),
            pairs=(self.conditions.pairs, self.conditions.all_pairs),
            triples=(self.conditions.triples, self.conditions.all_triples),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self.document())

    def _behaviour(self, name: str) -> Check:
        leaks = [leak for leak in self.leaks if leak.check == name]
        if leaks:
            pairs = sorted({(leak.perturbed, leak.observed) for leak in leaks if leak.perturbed is not None})
            named = "".join(f"{j} -> {i}, " for j, i in pairs)
            return Check(name=name, verdict=REFUTED, said=f"{named}{len(leaks)} times; the first: {leaks[0]}")
        if not self.runs.get(name):
            return Check(name=name, verdict=NOT_CHECKED, said=self._why_not(name))
        return Check(name=name, verdict=HOLDS, said=f"{_SENTENCES[name]} ({self._how_many(name)})")

    def _how_many(self, name: str) -> str:
        parts = [f"{self.runs[name]} script runs"]
        tried = [found.delay for (check, _), found in self.influences.items() if check == name]
        arrived = len(tried) - tried.count(None)
        if name == ISOLATION:
            parts.append(f"{len(self.isolated)} of {self.agents} agents")
        if name == LINK:
            parts.append(f"{len(tried)} of {self.conditions.all_pairs} ordered pairs, {arrived} of them used")
        if name == TWO_HOPS:
            parts.append(f"{len(tried)} of {self.conditions.all_triples} ordered triples, {arrived} of them reached")
        return ", ".join(parts)

    def _why_not(self, name: str) -> str:
        if self.interrupted:
            return "interrupted before"
        if name == REPEAT:
            return "two runs of the sampled policy differ by their noise"
        if not self.conditions.all_pairs:
            return "these bundles send no messages, so nobody can influence anybody"
        if name == TWO_HOPS and self.agents < 3:
            return "it takes three agents"
        return "no script was long enough"


_SENTENCES = {
    REPEAT: "the same observations give the same answers",
    ISOLATION: "while its messages are masked, no agent's observations change another's answers",
    LINK: "over one open link changes arrive with the messages, and nowhere else",
    TWO_HOPS: "over two hops changes arrive a step later, and nowhere else",
    WORLD: "in the world's own graph changes travel along its links, one a step",
}


def _least(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return min(known, default=None)


def step_or_none(step: int) -> int | None:
    return None if step >= NEVER else int(step)
