"""All that is read out of a trace about its language, and what of it a person should hear first.

Axis legend: N agents, K categoricals, F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.information import Information, information
from analysis.bandwidth.language.document import (
    ActionInfluence,
    CarriedFeature,
    Categorical,
    ChangedTogether,
    LanguageDocument,
    Similarity,
)
from analysis.bandwidth.language.features import features, from_the_sender
from analysis.bandwidth.language.influence import Influence, influence
from analysis.bandwidth.language.meaning import Meaning, meaning
from analysis.bandwidth.language.redundancy import redundancy
from analysis.bandwidth.language.sent_messages import SentMessages
from analysis.bandwidth.language.topography import Topography, topography
from coordinator.recording.reader import Trace
from heliograph.bundle import Bundle
from heliograph.codecs.message_format import MessageFormat

READ_AT_LEAST = 2000
"""Messages that are related to features: whole runs until there are so many.  More take minutes."""
TOP = 3
"""Features that are listed per categorical, as `Categorical` has places for them, and in the headline."""
WELL_CARRIED = 0.25
"""Share of a feature that a single categorical must carry for the messages to be said to carry it."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """What the agents tell each other."""

    message: MessageFormat
    environment: str
    agents: int
    information: Information
    meaning: Meaning
    influence: Influence | None
    """None without bundles to ask, or if nobody received anything."""
    redundancy: npt.NDArray[np.float64]
    """float64 [N, N], NaN where nothing can be sent."""
    observations: Topography
    """Messages against what their senders saw."""
    states: Topography | None
    """Messages against the world's state from their senders' point of view; None without a state."""

    @property
    def speaking(self) -> npt.NDArray[np.int64]:
        """int64: the categoricals that do not always say the same."""
        return np.flatnonzero(self.information.categorical_bits > 0)

    def headline(self) -> str:
        """The finding in a sentence."""
        if not self.speaking.size:
            return "The messages carry nothing: all are the same"
        best = self.meaning.best_carried(TOP)
        if not best:
            return "The messages carry no named feature: no categorical depends on one"
        share = self.meaning.carried[:, best].max(0)
        if share.max() < WELL_CARRIED:
            hint = self.meaning.features[best[0]].name
            return f"The messages carry little of the sender's {hint} ({share.max():.0%})"
        listed = [
            self.meaning.features[place].name for place, part in zip(best, share, strict=True) if part >= WELL_CARRIED
        ]
        return f"The messages carry the sender's {_and(listed)}"

    def sentences(self) -> list[str]:
        """The findings, one after the other."""
        sent, speaking = self.information, self.speaking.size
        found = [
            self.headline() + ".",
            f"{speaking} of {self.message.categoricals} categoricals vary. The entropy of a message is at most "
            f"{sent.message_bits:.1f} bits, of the {sent.ceiling_bits} that it takes bit-packed"
            + (f"; estimated jointly it is {sent.joint_bits:.1f}." if sent.joint_is_reliable else "."),
        ]
        best = self.meaning.best_carried(1)
        if best:
            place = best[0]
            carrier = int(self.meaning.carried[:, place].argmax())
            found.append(
                f"Categorical {carrier} alone carries {self.meaning.bits[carrier, place]:.2f} of the "
                f"{self.meaning.feature_bits[place]:.2f} bits of the sender's {self.meaning.features[place].name}; "
                f"{int((self.meaning.carried[:, place] >= WELL_CARRIED).sum())} categoricals carry a quarter of it or "
                "more."
            )
        if self.influence is not None:
            found += self._influence_sentences(self.influence)
        shared = self.redundancy[np.isfinite(self.redundancy)]
        if shared.size:
            found.append(
                f"Messages of two agents at the same step share {shared.mean():.0%} of their entropy on average."
            )
        if math.isfinite(self.observations.similarity):
            found.append(
                f"Topographic similarity is {_similar(self.observations.similarity)} "
                f"(Spearman {self.observations.similarity:.2f})."
            )
        return found

    def _influence_sentences(self, asked: Influence) -> list[str]:
        shares = np.array([estimate.mean for estimate in asked.categorical])
        found = [
            f"Replacing every received message by another one changes the action in {asked.message.mean:.0%} of "
            f"{asked.asked} steps."
        ]
        if shares.max() > 0:
            most = int(shares.argmax())
            found.append(
                f"Of single categoricals, number {most} changes it most often ({shares[most]:.0%}); "
                f"{int((shares == 0).sum())} of {len(shares)} never did."
            )
        if asked.differing:
            found.append(
                f"{asked.differing} of {asked.decisions} replayed decisions differ from the recording, so these "
                "shares are of a team that acted differently."
            )
        return found

    def document(self) -> LanguageDocument:
        """For JSON."""
        asked = self.influence
        known = zip(
            self.meaning.features,
            self.meaning.feature_bits.tolist(),
            self.meaning.carried.max(0, initial=0.0).tolist(),
            strict=True,
        )
        return LanguageDocument(
            headline=self.headline(),
            sentences=tuple(self.sentences()),
            messages=self.meaning.messages,
            runs=self.meaning.runs,
            categoricals=tuple(map(self._categorical, range(self.message.categoricals))),
            features=tuple(
                CarriedFeature(name=feature.name, source=feature.source, bits=bits, told=carried)
                for feature, bits, carried in known
            ),
            influence=None if asked is None else _action_influence(asked),
            redundancy=tuple(tuple(map(_finite, row)) for row in self.redundancy.tolist()),
            topographic_similarity=Similarity(
                observations=_finite(self.observations.similarity),
                state=None if self.states is None else _finite(self.states.similarity),
                messages=self.observations.messages,
            ),
        )

    def _categorical(self, place: int) -> Categorical:
        top = self.meaning.top(place, TOP)
        names = [self.meaning.features[feature].name for feature in top] + [None] * (TOP - len(top))
        bits = [float(self.meaning.bits[place, feature]) for feature in top] + [None] * (TOP - len(top))
        return Categorical(
            categorical=place,
            bits=float(self.information.categorical_bits[place]),
            changed_actions=None if self.influence is None else self.influence.categorical[place].mean,
            feature_1=names[0],
            feature_1_bits=bits[0],
            feature_2=names[1],
            feature_2_bits=bits[1],
            feature_3=names[2],
            feature_3_bits=bits[2],
        )


def read_language(trace: Trace, bundles: Sequence[Bundle] | None = None, *, seed: int = 0) -> Language:
    """Read what the messages of a trace say; `bundles`, the ones that made it, are asked what they act on.

    Raises SettingsError if nobody sent anything, BundleMismatch for other bundles.
    """
    sent = SentMessages.of(trace)
    part = sent.some_runs(at_least=READ_AT_LEAST, random=np.random.default_rng(seed))
    header = trace.header
    known = features(part, observation_names=header.observation_names, state_names=header.state_names)
    states = None
    if part.state is not None:
        names = header.state_names or [""] * header.state_size
        states = topography(part, from_the_sender(part.state, part.sender, part.agents, names)[0], seed=seed)
    content = information(trace)
    assert content is not None
    return Language(
        message=sent.format,
        environment=header.environment,
        agents=header.agents,
        information=content,
        meaning=meaning(part, known, seed=seed),
        influence=None if bundles is None else influence(trace, bundles, sent, seed=seed),
        redundancy=redundancy(sent, seed=seed),
        observations=topography(part, part.observation, seed=seed),
        states=states,
    )


def _action_influence(asked: Influence) -> ActionInfluence:
    return ActionInfluence(
        asked=asked.asked,
        message=asked.message,
        categoricals=asked.categorical,
        together=tuple(ChangedTogether(number=number, **vars(share)) for number, share in asked.together),
        decisions=asked.decisions,
        differing=asked.differing,
    )


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _similar(similarity: float) -> str:
    if similarity > 0.5:
        return "high"
    return "moderate" if similarity > 0.2 else "low"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
