"""What agents say twice: mutual information between the messages of two senders at the same step.

Axis legend: N agents, M messages, K categoricals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.estimators import joint_counts, mutual_information
from analysis.bandwidth.information import categorical_bits
from analysis.bandwidth.language.meaning import exchanged
from analysis.bandwidth.language.sent_messages import SentMessages

EXCHANGES = 10


def redundancy(sent: SentMessages, *, seed: int) -> npt.NDArray[np.float64]:
    """float64 [N, N]: the share of what two senders say at the same step that both say; NaN on the diagonal and where
    they never spoke together, or one of them always sent the same.

    sum over k of I(z_i^k; z_j^k), over the sum over k of the smaller of both entropies: categoricals of the same place,
    as agents of one team mean the same by them.  What the messages of different episodes share is taken off.
    """
    random = np.random.default_rng(seed)
    shared = np.full((sent.agents, sent.agents), np.nan)
    moment = sent.episode * (sent.step.max() + 1) + sent.step
    for i in range(sent.agents):
        for j in range(i):
            mine, theirs = np.flatnonzero(sent.sender == i), np.flatnonzero(sent.sender == j)
            _, first, second = np.intersect1d(moment[mine], moment[theirs], return_indices=True)
            if first.size:
                shared[i, j] = shared[j, i] = _share(sent, mine[first], theirs[second], random)
    return shared


def _share(
    sent: SentMessages, mine: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64], random: np.random.Generator
) -> float:
    """Of messages at indices [M'] each, which belong together."""
    classes = sent.format.classes
    most = float(np.minimum(*(categorical_bits(sent.latent[each], classes=classes) for each in (mine, theirs))).sum())
    if most == 0:
        return float("nan")
    _, episode = np.unique(sent.episode[mine], return_inverse=True)
    # By episode, as in a run nothing is independent.
    chance = [_bits(sent, mine, theirs[exchanged(episode.reshape(-1), random)]) for _ in range(EXCHANGES)]
    return float(np.clip((_bits(sent, mine, theirs) - np.mean(chance)) / most, 0.0, 1.0))


def _bits(sent: SentMessages, mine: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64]) -> float:
    values = (sent.format.classes, sent.format.classes)
    pairs = zip(sent.latent[mine].T, sent.latent[theirs].T, strict=True)
    return float(sum(mutual_information(joint_counts(x, y, values=values)) for x, y in pairs))
