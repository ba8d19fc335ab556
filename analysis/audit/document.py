"""audit.json: everything that an audit found, as a dataclass whose fields are its keys."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.audit.evidence import Check, Influence, Leak
from heliograph.documents import DocumentFormat

AUDIT = DocumentFormat(
    name="heliograph-audit", version=1, what="the audit", remedy="Make it with `heliograph audit --out FOLDER`"
)


@dataclass(frozen=True, kw_only=True)
class Matrices:
    """[j][i]: steps until j's observations reach i; None: they do not, or that was not tried."""

    one_link: tuple[tuple[int | None, ...], ...]
    """Over the link from j to i alone."""
    world_graph: tuple[tuple[int | None, ...], ...]
    """Over all links of the world."""


@dataclass(frozen=True, kw_only=True)
class AuditDocument:
    """The whole file."""

    format: str | None = AUDIT.name
    version: int = AUDIT.version
    title: str
    environment: str
    agents: int
    greedy: bool
    run_seed: int
    bundles: tuple[str, ...]
    """Digests by slot."""
    interrupted: bool
    refuted: bool
    checks: tuple[Check, ...]
    influence: Matrices
    world_share: tuple[tuple[float, ...], ...]
    """[j][i]: the share of the scripts' steps at which the world lets i receive from j."""
    unused_links: tuple[tuple[int, int], ...]
    """Links that were tried alone and changed nothing."""
    influences: tuple[Influence, ...]
    leaks: tuple[Leak, ...]
    untested: tuple[str, ...]
    pairs: tuple[int, int]
    triples: tuple[int, int]
    """Ordered pairs and triples of agents: tried, and all."""
