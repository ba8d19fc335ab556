"""Topographic similarity: do similar observations come with similar messages?  (Brighton and Kirby 2006)

Spearman's correlation between the distances of pairs of messages (Hamming: categoricals that differ) and the distances
of what their senders perceived (Euclidean, entries in units of their standard deviation).  Axis legend: M messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.language.sent_messages import SentMessages

SAMPLE = 300
"""Messages whose pairs are compared, at most."""


@dataclass(frozen=True, kw_only=True)
class Topography:
    """Correlation of distances over all pairs of a sample of messages."""

    messages: int
    similarity: float
    """In -1..1; NaN where all distances of one kind are equal."""
    message_distance: npt.NDArray[np.float64]
    """float64 [pairs]: categoricals that differ."""
    observation_distance: npt.NDArray[np.float64]
    """float64 [pairs]."""


def topography(sent: SentMessages, observations: npt.NDArray[np.float32], *, seed: int) -> Topography:
    """`observations` float [M, entries], one for each message of `sent`."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(sent.run))[:SAMPLE])
    latent, observation = sent.latent[chosen], observations[chosen].astype(np.float64)
    spread = observation.std(0)
    scaled = observation[:, spread > 0] / spread[spread > 0]
    first, second = np.triu_indices(len(chosen), k=1)
    hamming = (latent[first] != latent[second]).sum(1).astype(np.float64)
    squares = (scaled**2).sum(1)
    euclidean = np.sqrt(np.maximum(squares[first] + squares[second] - 2 * (scaled @ scaled.T)[first, second], 0.0))
    return Topography(
        messages=len(chosen),
        similarity=spearman(hamming, np.round(euclidean, 9)),
        message_distance=hamming,
        observation_distance=euclidean,
    )


def spearman(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Pearson's correlation of ranks, ties sharing their mean rank; NaN where one of the two never varies."""
    ranks = [_ranks(values) for values in (first, second)]
    if len(first) < 2 or min(rank.std() for rank in ranks) == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(np.stack(ranks)))[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle = last - (counts - 1) / 2
    ranks: npt.NDArray[np.float64] = middle[inverse.reshape(-1)]
    return ranks
