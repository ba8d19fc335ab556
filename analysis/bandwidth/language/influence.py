"""Which categoricals change what receivers do: by intervention, agent by agent, on recorded steps.

Each agent is led through the trace again with what it perceived and heard.  At a sample of its steps it is asked what
it would do if one categorical of all messages that it heard were drawn anew from everything that was ever said in its
place (its marginal), all else equal, noise included.  An answer counts as changed if the most likely action is another;
of a continuous action, if any level of the one taken is.
A language that says the same in many places is hardly changed by one of them, so several are drawn anew together, too.
Axis legend: N agents, K categoricals, Q steps at which an agent was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.bandwidth.language.utterances import Utterances
from coordinator.recording.reader import Trace, TraceEpisode
from heliograph.bundle import Bundle
from heliograph.estimates import Estimate, wilson

if TYPE_CHECKING:
    from analysis.bandwidth.language.rehearsal import Situation

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
    """By putting another message that was sent in place of each that was heard."""
    decisions: int
    differing: int
    """Decisions on the way that were not those of the trace: 0, or the shares say little about it."""


def influence(trace: Trace, bundles: Sequence[Bundle], said: Utterances, *, seed: int) -> Influence | None:
    """Ask the agents; None if nobody heard anything.  Raises BundleMismatch for bundles that did not make the trace."""
    from analysis.bandwidth.language.rehearsal import Rehearsal  # the inference runtime loads here, not with the reader

    random = np.random.default_rng(seed)
    chosen = _chosen(trace, random)
    if not chosen:
        return None
    rehearsal = Rehearsal(bundles, trace.header)
    episodes = [trace.episodes[place] for place in sorted({place for place, _, _ in chosen})]
    asked_at = {(trace.episodes[place].episode, slot, step) for place, slot, step in chosen}
    changed = []
    for situation in rehearsal.situations(episodes):
        if (situation.percept.episode, situation.slot, situation.percept.step) in asked_at:
            changed.append(_changed(situation, said.latent, random))
    found = [wilson(column) for column in np.array(changed, dtype=np.float64).T]
    categoricals = said.format.categoricals
    return Influence(
        asked=len(changed),
        categorical=tuple(found[:categoricals]),
        together=tuple(zip(_numbers(categoricals), found[categoricals:-1], strict=True)),
        message=found[-1],
        decisions=rehearsal.decisions,
        differing=rehearsal.differing,
    )


def _chosen(trace: Trace, random: np.random.Generator) -> list[tuple[int, int, int]]:
    """(place of the episode, slot, step) of at most ASKED steps at which something was heard.

    Of as few whole episodes as hold several times as many, since each of them has to be gone through.
    """
    places: list[tuple[int, int, int]] = []
    for place in random.permutation(len(trace.episodes)).tolist():
        episode: TraceEpisode = trace.episodes[place]
        heard = episode.heard.any(-1) & episode.acted & episode.present
        places += [(place, slot, step) for step, slot in np.argwhere(heard).tolist()]
        if len(places) >= 4 * ASKED:
            break
    return [places[index] for index in random.permutation(len(places))[:ASKED]]


def _numbers(categoricals: int) -> list[int]:
    """1, 2, 4, … and all."""
    return [*(2**power for power in range((categoricals - 1).bit_length())), categoricals]


def _changed(situation: Situation, pool: npt.NDArray[np.int32], random: np.random.Generator) -> list[bool]:
    """Whether the most likely action becomes another: by each categorical, by so many together, by another message."""
    heard = {peer: message.latent for peer, message in situation.messages.items()}
    before, categoricals = _most_likely(situation, heard), pool.shape[1]

    def drawn_anew(places: npt.NDArray[np.int64]) -> bool:
        other = {peer: latent.copy() for peer, latent in heard.items()}
        for latent in other.values():
            latent[places] = pool[random.integers(len(pool), size=places.size), places]
        same = all(np.array_equal(other[peer], latent) for peer, latent in heard.items())
        return not same and _most_likely(situation, other) != before

    groups = [np.array([categorical]) for categorical in range(categoricals)]
    groups += [random.permutation(categoricals)[:number] for number in _numbers(categoricals)]
    another = {peer: pool[random.integers(len(pool))] for peer in heard}
    return [*map(drawn_anew, groups), _most_likely(situation, another) != before]


def _most_likely(situation: Situation, heard: dict[int, npt.NDArray[np.int32]]) -> int | bytes:
    decision = situation.consider(heard)
    if isinstance(decision.action, np.ndarray):
        return decision.action.tobytes()
    return int(np.argmax(decision.logits))
