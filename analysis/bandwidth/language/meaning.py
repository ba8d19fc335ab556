"""What each categorical tells about each feature: mutual information, corrected for its bias, and tested.

The test exchanges whole runs (what one agent sent during one episode) between what was perceived in others, a number
of times with a fixed seed: what is left then is what chance, habit and the passing of time explain.  Its mean is taken
off, since Miller and Madow's correction takes the steps of a run for independent, which they are not.  A pair is
significant if it stands out, in standard deviations of its own chance level, further than the furthest of all pairs
does in 95 % of the exchanges (Westfall and Young's step), so one in twenty traces of a meaningless language has any.

Axis legend: M messages, K categoricals, C classes, F features, V values, P exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.estimators import joint_counts, miller_madow, mutual_information
from analysis.bandwidth.information import categorical_bits
from analysis.bandwidth.language.features import Feature
from analysis.bandwidth.language.sent_messages import SentMessages

EXCHANGES = 100
LEVEL = 0.05
ALIKE = 0.5
"""Features that share this much of the entropy of the poorer one are about the same, and the better carried stands for
both in a list."""
ABOUT_EQUAL = 0.05
"""Bits, or shares, by which a feature must be carried better than another to come before it."""
FEWEST_RUNS = 20
"""Fewer runs have too few ways to be exchanged for a test at LEVEL."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Bits that categoricals carry of features."""

    features: tuple[Feature, ...]
    """[F]."""
    feature_bits: npt.NDArray[np.float64]
    """float64 [F]: entropy of each feature, all that a message can carry of it."""
    categorical_bits: npt.NDArray[np.float64]
    """float64 [K]: entropy of each categorical, all that it can carry."""
    bits: npt.NDArray[np.float64]
    """float64 [K, F]: mutual information beyond that of exchanged runs, at least 0."""
    p_value: npt.NDArray[np.float64]
    """float64 [K, F], of finding any pair that stands out so far by chance."""
    messages: int
    runs: int

    @property
    def significant(self) -> npt.NDArray[np.bool_]:
        """bool [K, F]."""
        return self.p_value < LEVEL

    @property
    def carried(self) -> npt.NDArray[np.float64]:
        """float64 [K, F]: share of each feature that each categorical carries, 0 where not significant."""
        share = self.bits / np.maximum(self.feature_bits, 1e-12)
        return np.where(self.significant, np.clip(share, 0.0, 1.0), 0.0)

    def top(self, categorical: int, count: int) -> list[int]:
        """The features that a categorical significantly carries most bits of, at most `count` and all different."""
        return self._different(np.where(self.significant[categorical], self.bits[categorical], 0.0), count)

    def best_carried(self, count: int) -> list[int]:
        """The features of which a single categorical carries the largest share, at most `count` and all different."""
        return self._different(self.carried.max(0, initial=0.0), count)

    def _different(self, score: npt.NDArray[np.float64], count: int) -> list[int]:
        """The places of the highest scores [F] above 0, without features that are like a better one.

        Among about equal ones the first counts: environments name what is simple first.
        """
        chosen: list[int] = []
        for place in np.argsort(-np.round(score / ABOUT_EQUAL), kind="stable").tolist():
            if len(chosen) == count:
                break
            if score[place] > 0 and not any(self._alike(place, other) for other in chosen):
                chosen.append(place)
        return chosen

    def _alike(self, one: int, other: int) -> bool:
        first, second = self.features[one], self.features[other]
        shared = mutual_information(joint_counts(first.codes, second.codes, values=(first.values, second.values)))
        return bool(shared >= ALIKE * min(self.feature_bits[one], self.feature_bits[other]))


def meaning(sent: SentMessages, known: Sequence[Feature], *, seed: int) -> Meaning:
    """Relate every categorical to every feature; `known` are features of the messages `sent`."""
    categoricals, classes = sent.format.categoricals, sent.format.classes
    bits = np.zeros((categoricals, len(known)))
    p_value = np.ones((categoricals, len(known)))
    entropies = categorical_bits(sent.latent, classes=classes)
    speaking = np.flatnonzero(entropies > 0)
    if speaking.size and known:
        related = _Related(sent.latent[:, speaking], known, classes=classes)
        bits[speaking] = related.bits(np.arange(len(sent.run)))
        if sent.runs >= FEWEST_RUNS:
            bits[speaking], p_value[speaking] = _beyond_chance(related, bits[speaking], sent, seed)
    return Meaning(
        features=tuple(known),
        feature_bits=np.array([miller_madow(np.bincount(feature.codes)) for feature in known]),
        categorical_bits=entropies,
        bits=bits,
        p_value=p_value,
        messages=len(sent.run),
        runs=sent.runs,
    )


class _Related:
    """Mutual information of all categoricals with all features, as often as asked."""

    def __init__(self, latent: npt.NDArray[np.int32], known: Sequence[Feature], *, classes: int) -> None:
        self._known, self._classes = known, classes
        self._categoricals = latent.shape[1]
        self._cells = np.arange(self._categoricals) * classes + latent  # [M, K]

    def bits(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64 [K, F], if message m had gone with the features of message order[m]."""
        return np.stack([self._of(feature, feature.codes[order]) for feature in self._known], axis=1)

    def _of(self, feature: Feature, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        cells = (self._cells * feature.values + codes[:, None]).reshape(-1)
        counts = np.bincount(cells, minlength=self._categoricals * self._classes * feature.values)
        return mutual_information(counts.reshape(self._categoricals, self._classes, feature.values))


def _beyond_chance(
    related: _Related, bits: npt.NDArray[np.float64], sent: SentMessages, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Bits [K, F] less those of exchanged runs, and the p-values of the rest."""
    random = np.random.default_rng(seed)
    chance = np.stack([related.bits(exchanged(sent.run, random)) for _ in range(EXCHANGES)])  # [P, K, F]
    # What was found is one of the exchanges itself, the one that changes nothing: only so is the test exact.
    every = np.concatenate([bits[None], chance])
    # A floor, so that a pair that never varies by chance does not stand out by a rounding error.
    out = (every - every.mean(0)) / np.maximum(every.std(0), 1e-3)
    furthest = out.max((1, 2))  # [P + 1]
    p_value = (furthest[:, None, None] >= out[0]).mean(0)
    return np.maximum(bits - chance.mean(0), 0.0), p_value


def exchanged(run: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """int64 [M]: for each message the one at its place in the run that its own is exchanged with, which starts over
    where it is shorter.  Messages are ordered by run."""
    lengths = np.bincount(run)
    starts = lengths.cumsum() - lengths
    place = np.arange(len(run)) - starts[run]
    other = random.permutation(lengths.size)[run]
    found: npt.NDArray[np.int64] = starts[other] + place % lengths[other]
    return found
