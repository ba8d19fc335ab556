"""How much the messages of a trace really say: empirical entropies, against the bits that a latent could say.

Per categorical the estimator is Miller and Madow's, over all messages that were sent to anybody, of all agents alike
(as one table of a codec sees them).  Of a whole message the sum over its categoricals is an upper bound, since it
leaves out what they say twice; of their joint entropy Chao and Shen's estimate is given too, and said to be unreliable
where most of what was sent was sent once.  Axis legend: T steps, N agents, K categoricals, C classes, M messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.estimators import chao_shen, coverage, joint_counts, miller_madow
from coordinator.recording.reader import Trace, TraceEpisode
from heliograph.codecs.message_format import MessageFormat

ESTIMATOR = (
    "plug-in entropy per categorical with the Miller-Madow correction, (values seen - 1) / (2 n ln 2), which leaves a "
    "bias below zero of order 1 / n²; summed over categoricals, an upper bound for the message"
)
ENOUGH_COVERAGE = 0.9
"""At least this share of further messages should be ones seen before, or the joint estimate says little."""


@dataclass(frozen=True, kw_only=True)
class EntropyDocument:
    """`Information` as reports keep it, its fields their keys."""

    estimator: str
    categoricals: int
    classes: int
    ceiling_bits: int
    categorical_ceiling_bits: int
    messages: int
    message_bits: float
    message_bits_given_previous: float | None
    successions: int
    categorical_bits: tuple[float, ...]
    categorical_bits_given_previous: tuple[float, ...] | None
    categorical_bits_by_step: tuple[tuple[float | None, ...], ...]
    """None where nobody sent anything at a step."""
    joint_bits: float
    joint_coverage: float
    joint_is_reliable: bool
    distinct_messages: int


@dataclass(frozen=True, kw_only=True)
class Information:
    """Entropies in bits."""

    message: MessageFormat
    messages: int
    """M: messages sent, each counted once however many listeners it had."""
    categorical_bits: npt.NDArray[np.float64]
    """float64 [K]."""
    successions: int
    """Messages whose sender's message of the step before was sent too."""
    categorical_bits_given_previous: npt.NDArray[np.float64] | None
    """float64 [K]: given the same categorical of the sender's message before; None without successions."""
    categorical_bits_by_step: npt.NDArray[np.float64]
    """float64 [T, K]: of the messages of each step, over agents and episodes; NaN where nobody spoke."""
    joint_bits: float
    """Chao and Shen's estimate for whole messages, at most the sum over categoricals."""
    joint_coverage: float
    """Estimated share of further messages that would be ones seen before."""
    distinct: int
    """Different messages."""

    @property
    def ceiling_bits(self) -> int:
        """K ceil(log2 C), what a latent takes bit-packed."""
        return self.message.codec.payload_bits

    @property
    def message_bits(self) -> float:
        """Upper bound of a message's entropy: the sum over its categoricals."""
        return float(self.categorical_bits.sum())

    @property
    def message_bits_given_previous(self) -> float | None:
        given = self.categorical_bits_given_previous
        return None if given is None else float(given.sum())

    @property
    def joint_is_reliable(self) -> bool:
        """Whether the sample is large enough for `joint_bits` to say something."""
        return self.joint_coverage >= ENOUGH_COVERAGE

    def document(self) -> EntropyDocument:
        """For JSON."""
        given = self.categorical_bits_given_previous
        by_step = self.categorical_bits_by_step.tolist()
        return EntropyDocument(
            estimator=ESTIMATOR,
            categoricals=self.message.categoricals,
            classes=self.message.classes,
            ceiling_bits=self.ceiling_bits,
            categorical_ceiling_bits=self.message.codec.bits_per_id,
            messages=self.messages,
            message_bits=self.message_bits,
            message_bits_given_previous=self.message_bits_given_previous,
            successions=self.successions,
            categorical_bits=tuple(self.categorical_bits.tolist()),
            categorical_bits_given_previous=None if given is None else tuple(given.tolist()),
            categorical_bits_by_step=tuple(tuple(None if np.isnan(x) else x for x in row) for row in by_step),
            joint_bits=self.joint_bits,
            joint_coverage=self.joint_coverage,
            joint_is_reliable=self.joint_is_reliable,
            distinct_messages=self.distinct,
        )


def information(trace: Trace) -> Information | None:
    """The entropies of what was sent in a trace; None if nothing was."""
    message = trace.header.message
    spoken = [] if message is None else [episode for episode in trace.episodes if episode.sent().any()]
    if message is None or not spoken:
        return None
    latents = np.concatenate([_latent(episode)[_sent(episode)] for episode in spoken])  # [M, K]
    pairs = [_successions(episode) for episode in spoken]
    before, after = (np.concatenate(part) for part in zip(*pairs, strict=True))
    bits = categorical_bits(latents, classes=message.classes)
    _, repetitions = np.unique(latents, axis=0, return_counts=True)
    return Information(
        message=message,
        messages=len(latents),
        categorical_bits=bits,
        successions=len(before),
        categorical_bits_given_previous=_given(before, after, message.classes) if len(before) else None,
        categorical_bits_by_step=_by_step(spoken, message),
        joint_bits=min(chao_shen(repetitions), float(bits.sum())),
        joint_coverage=coverage(repetitions),
        distinct=len(repetitions),
    )


def categorical_bits(latents: npt.NDArray[np.int32], *, classes: int) -> npt.NDArray[np.float64]:
    """float64 [K]: entropy of each categorical of ids [M, K]."""
    return miller_madow(np.stack([np.bincount(ids, minlength=classes) for ids in latents.T]))


def _given(before: npt.NDArray[np.int32], after: npt.NDArray[np.int32], classes: int) -> npt.NDArray[np.float64]:
    """H(after | before) = H(before, after) - H(before) per categorical, both corrected, within 0 and H(after)."""
    joint = np.stack(
        [
            joint_counts(first, second, values=(classes, classes)).reshape(-1)
            for first, second in zip(before.T, after.T, strict=True)
        ]
    )
    difference = miller_madow(joint) - categorical_bits(before, classes=classes)
    return np.clip(difference, 0.0, categorical_bits(after, classes=classes))


def _by_step(episodes: list[TraceEpisode], message: MessageFormat) -> npt.NDArray[np.float64]:
    bits = np.full((max(episode.steps for episode in episodes), message.categoricals), np.nan)
    for step in range(len(bits)):
        latents = [_latent(each)[step][_sent(each)[step]] for each in episodes if step < each.steps]
        together = np.concatenate(latents)
        if len(together):
            bits[step] = categorical_bits(together, classes=message.classes)
    return bits


def _successions(episode: TraceEpisode) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    latent, sent = _latent(episode), _sent(episode)
    both = sent[:-1] & sent[1:]
    return latent[:-1][both], latent[1:][both]


def _sent(episode: TraceEpisode) -> npt.NDArray[np.bool_]:
    """bool [T, N]: whose message of the step was sent to anybody."""
    sent: npt.NDArray[np.bool_] = np.asarray(episode.sent().any(-1))
    return sent


def _latent(episode: TraceEpisode) -> npt.NDArray[np.int32]:
    assert episode.latent is not None
    return episode.latent
