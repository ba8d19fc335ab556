"""What was read out of a trace's messages, as dataclasses whose fields are the keys of language.json."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.estimates import Estimate


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """One categorical: its entropy, its influence and the features that it significantly tells most about."""

    categorical: int
    bits: float
    changed_actions: float | None
    """Share of receivers' actions that drawing it anew changes; None where nobody was asked."""
    feature_1: str | None
    feature_1_bits: float | None
    feature_2: str | None
    feature_2_bits: float | None
    feature_3: str | None
    feature_3_bits: float | None


@dataclass(frozen=True, kw_only=True)
class CarriedFeature:
    """A feature of what senders observe, or of the world's state."""

    name: str
    source: str
    bits: float
    """Its entropy."""
    told: float
    """Share of it that a single categorical tells at most."""


@dataclass(frozen=True, kw_only=True)
class ChangedTogether:
    """Share of actions that change if so many categoricals are drawn anew at once, with its 95 % interval."""

    number: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ActionInfluence:
    """What receivers act on, by intervention."""

    asked: int
    message: Estimate
    """Share of actions that change if each message is replaced by another one."""
    categoricals: tuple[Estimate, ...]
    together: tuple[ChangedTogether, ...]
    decisions: int
    differing: int


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Topographic similarity, Spearman's correlation; None where it does not exist."""

    observations: float | None
    state: float | None
    messages: int


@dataclass(frozen=True, kw_only=True)
class LanguageDocument:
    """All of it."""

    headline: str
    sentences: tuple[str, ...]
    messages: int
    runs: int
    categoricals: tuple[Categorical, ...]
    features: tuple[CarriedFeature, ...]
    influence: ActionInfluence | None
    redundancy: tuple[tuple[float | None, ...], ...]
    """[i][j]: share of what two senders say at the same step that both say; None where nothing can be sent."""
    topographic_similarity: Similarity
