"""Which categoricals change what receivers do: by intervention, agent by agent, on recorded steps.

Each agent is replayed through the trace with what it observed and received.  At a sample of its steps it is asked what
it would do if one categorical of all messages that it received were drawn anew from its marginal, everything that was
ever sent in its place, all else equal, noise included.  An answer counts as changed if the most likely action
is another; of a continuous action, if any level of the one taken is.
A language that says the same in many places is hardly changed by one of them, so several are drawn anew together, too.
Axis legend: N agents, K categoricals, Q steps at which an agent was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.language.sent_messages import SentMessages
from coordinator.recording.reader import Trace, TraceEpisode
from heliograph.bundle import Bundle
from heliograph.estimates import Estimate, wilson

if TYPE_CHECKING:
    from analysis.bandwidth.language.counterfactual import ReplayedStep

ASKED = 400
"""Steps at which an agent is asked, at most."""


@dataclass(frozen=True, kw_only=True)
class Influence:
    """Shares of changed actions, with 95 % intervals."""

    asked: int
    """Q."""
    categorical: tuple[Estimate, ...]
    """[K]: by drawing this categorical anew."""
    together: tuple[tuple[int, Estimate], ...]
    """By drawing so many categoricals anew at once, each time other ones: 1, 2, 4, … and all."""
    message: Estimate
    """By replacing each received message by another that was sent."""
    decisions: int
    differing: int
    """Decisions on the way that were not those of the trace: 0, or the shares say little about it."""


def influence(trace: Trace, bundles: Sequence[Bundle], sent: SentMessages, *, seed: int) -> Influence | None:
    """Ask the agents; None if nobody received anything.

    Raises BundleMismatch for bundles that did not make the trace.
    """
    # The inference runtime loads here, not with the reader.
    from analysis.bandwidth.language.counterfactual import CounterfactualReplay

    random = np.random.default_rng(seed)
    chosen = _chosen(trace, random)
    if not chosen:
        return None
    replay = CounterfactualReplay(bundles, trace.header)
    episodes = [trace.episodes[place] for place in sorted({place for place, _, _ in chosen})]
    asked_at = {(trace.episodes[place].episode, slot, step) for place, slot, step in chosen}
    changed = []
    for step in replay.steps(episodes):
        if (step.agent_input.episode, step.slot, step.agent_input.step) in asked_at:
            changed.append(_changed(step, sent.latent, random))
    found = [wilson(column) for column in np.array(changed, dtype=np.float64).T]
    categoricals = sent.format.categoricals
    return Influence(
        asked=len(changed),
        categorical=tuple(found[:categoricals]),
        together=tuple(zip(_numbers(categoricals), found[categoricals:-1], strict=True)),
        message=found[-1],
        decisions=replay.decisions,
        differing=replay.differing,
    )


def _chosen(trace: Trace, random: np.random.Generator) -> list[tuple[int, int, int]]:
    """(place of the episode, slot, step) of at most ASKED steps at which something was received.

    Of as few whole episodes as hold several times as many, since each of them has to be gone through.
    """
    places: list[tuple[int, int, int]] = []
    for place in random.permutation(len(trace.episodes)).tolist():
        episode: TraceEpisode = trace.episodes[place]
        received = episode.received.any(-1) & episode.acted & episode.present
        places += [(place, slot, step) for step, slot in np.argwhere(received).tolist()]
        if len(places) >= 4 * ASKED:
            break
    return [places[index] for index in random.permutation(len(places))[:ASKED]]


def _numbers(categoricals: int) -> list[int]:
    """1, 2, 4, … and all."""
    return [*(2**power for power in range((categoricals - 1).bit_length())), categoricals]


def _changed(step: ReplayedStep, pool: npt.NDArray[np.int32], random: np.random.Generator) -> list[bool]:
    """Whether the most likely action becomes another: by each categorical, by so many together, by another message."""
    received = {peer: message.latent for peer, message in step.messages.items()}
    before, categoricals = _most_likely(step, received), pool.shape[1]

    def drawn_anew(places: npt.NDArray[np.int64]) -> bool:
        other = {peer: latent.copy() for peer, latent in received.items()}
        for latent in other.values():
            latent[places] = pool[random.integers(len(pool), size=places.size), places]
        same = all(np.array_equal(other[peer], latent) for peer, latent in received.items())
        return not same and _most_likely(step, other) != before

    groups = [np.array([categorical]) for categorical in range(categoricals)]
    groups += [random.permutation(categoricals)[:number] for number in _numbers(categoricals)]
    another = {peer: pool[random.integers(len(pool))] for peer in received}
    return [*map(drawn_anew, groups), _most_likely(step, another) != before]


def _most_likely(step: ReplayedStep, received: dict[int, npt.NDArray[np.int32]]) -> int | bytes:
    decision = step.consider(received)
    if isinstance(decision.action, np.ndarray):
        return decision.action.tobytes()
    return int(np.argmax(decision.logits))
