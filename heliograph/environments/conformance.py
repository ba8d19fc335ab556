"""Whether an environment keeps what a PettingZoo parallel environment promises: a verdict on every rule.

A few episodes are played with random legal actions, and everything that is returned is held against the checks that
training stops at; here they are all asked, and the first breach of each rule is kept.

For `heliograph environments check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.contract import (
    WON_NAMES,
    ParallelContract,
    ask,
    checked_team,
    found_limit,
    neighbour_key,
    state_numbers,
)
from heliograph.environments.spaces import AgentSpaces
from heliograph.environments.vector import MOST_STEPS
from heliograph.errors import WorldError
from heliograph.seeds import short_seed

Found = TypeVar("Found")

RULES = {
    "factory": "the factory makes a PettingZoo parallel environment of named agents",
    "spaces": "observations of every agent make one vector, actions are numbered or within finite bounds",
    "limit": "a number of steps is found after which every episode is over",
    "reset": "reset(seed=...) returns observations and infos",
    "step": "step(actions) returns observations, rewards, terminations, truncations and infos",
    "agents": "`agents` holds those of `possible_agents` that are alive",
    "observations": "every live agent observes something in its space",
    "rewards": "every agent that acted gets one finite number",
    "ends": "every agent that acted is told whether it was terminated or truncated, and leaves `agents` only then",
    "infos": "what infos hold is a dict for agents of the team alone",
    "masks": "a mask leaves a legal action, is told at every step or never, and the same wherever it is told",
    "neighbours": "whom an agent hears is of the team, and told at every step or never",
    "success": "the last infos of an episode say whether it is won",
    "state": "the global state holds as many finite numbers every time",
    "repeats": "a seed repeats its episode, whatever was played before",
}
"""Every rule, by a name for programs."""
OPTIONAL = ("masks", "neighbours", "success", "state")
"""Rules of what an environment need not offer."""
KEPT, BROKEN, NOT_OFFERED, NOT_REACHED = "kept", "broken", "not offered", "not reached"
_LARGE = 100.0
"""Observations past it are learned from badly, if at all."""
_UNLIMITED_STEPS = 1000
"""Steps of an episode where no limit is found."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """On one rule."""

    rule: str
    meaning: str
    verdict: str
    """kept, broken, not offered, or not reached because of what was broken before."""
    problem: str = ""
    """Where it was broken, how, and what to do."""


@dataclass(kw_only=True)
class AgentShown:
    """What one agent is told and can do."""

    agent: str
    observation_size: int
    """Numbers, without padding."""
    lowest: float = float("inf")
    highest: float = float("-inf")
    """Of all that it observed."""
    actions: int
    """How many, or of a vector its dimensions."""
    continuous: bool = False
    """Its action is a vector."""
    factors: tuple[int, ...] = ()
    """Choices of each factor, where actions are combinations of several."""
    legal: list[int] | None = None
    """After the first reset; None where no mask is told, so that all are."""
    hears: list[str] | None = None
    """After the first reset; None where nothing is told, so that it hears everyone."""


@dataclass(kw_only=True)
class EpisodeShown:
    """One episode that was played."""

    seed: int
    steps: int = 0
    end: str = BROKEN
    """terminated, truncated, cut at the limit, or broken: left at a breach that nothing can be played after."""
    mean_return: float = 0.0


@dataclass(kw_only=True)
class Conformance:
    """What came of the examination of one environment."""

    environment: str
    verdicts: list[Verdict] = field(default_factory=list)
    agents: list[AgentShown] = field(default_factory=list)
    episodes: list[EpisodeShown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What breaks no rule, and is worth knowing."""

    @property
    def keeps_all(self) -> bool:
        return all(verdict.verdict in (KEPT, NOT_OFFERED) for verdict in self.verdicts)


def examine(
    factory: Callable[[], Any],
    *,
    environment: str,
    step_limit: Any = None,
    action_bits: int = DEFAULT_BITS,
    episodes: int = 3,
    seed: int = 0,
) -> Conformance:
    """Play `episodes` with the seeds from `seed` on and return the verdict on every rule; raises nothing of its own."""
    examination = _Examination(environment, seed=seed)
    examination.run(factory, step_limit=step_limit, action_bits=action_bits, episodes=episodes)
    return examination.conformance()


class _Examination:
    def __init__(self, environment: str, *, seed: int) -> None:
        self._name, self._seed = f"adapter of {environment!r}", seed
        self._shown = Conformance(environment=environment)
        self._asked: set[str] = set()
        self._broken: dict[str, str] = {}
        self._place = ""
        self._neighbour_key: str | None = None
        self._won_name: str | None = None
        self._state_size: int | None = None

    def conformance(self) -> Conformance:
        for rule, meaning in RULES.items():
            verdict = KEPT if rule in self._asked else NOT_REACHED
            if rule in OPTIONAL and rule not in self._asked and self._shown.episodes:
                verdict = NOT_OFFERED
            if rule in self._broken:
                verdict = BROKEN
            self._shown.verdicts.append(
                Verdict(rule=rule, meaning=meaning, verdict=verdict, problem=self._broken.get(rule, ""))
            )
        for shown in self._shown.agents:
            largest = max(abs(shown.lowest), abs(shown.highest))
            if np.isfinite(largest) and largest > _LARGE:
                self._shown.notes.append(
                    f"observations of {shown.agent} reach {largest:g}: scale them to about -1 to 1 to learn from them"
                )
        return self._shown

    def _judge(self, rule: str, call: Callable[[], Found]) -> Found | None:
        """What a check returns; None where it finds the rule broken, which is kept."""
        self._asked.add(rule)
        try:
            return ask(self._name, rule, call)
        except WorldError as error:
            problem = str(error).removeprefix(f"{self._name}: ")
            self._broken.setdefault(rule, f"{self._place}{problem}")
            return None

    def run(self, factory: Callable[[], Any], *, step_limit: Any, action_bits: int, episodes: int) -> None:
        made = self._judge("factory", lambda: ask(self._name, "construction", factory))
        if "factory" in self._broken:
            return
        names = self._judge("factory", lambda: checked_team(made, adapter=self._name))
        if names is None:
            return
        assert made is not None  # or there would be no names
        self._environment, self._names = made, names
        self._contract = ParallelContract(names, adapter=self._name)
        spaces = self._judge("spaces", lambda: AgentSpaces(made, names, adapter=self._name, action_bits=action_bits))
        limit = self._judge("limit", lambda: found_limit(made, step_limit, adapter=self._name))
        if spaces is None:
            return
        self._spaces = spaces
        self._limit = min(limit or _UNLIMITED_STEPS, MOST_STEPS)
        traces = [self._run_episode(self._seed + episode, number=episode) for episode in range(episodes)]
        if not set(self._broken) - {"limit"}:
            self._place = f"episode 0 (seed {self._seed}) again: "
            again = self._run_episode(self._seed, number=0, shown=False)
            self._judge("repeats", lambda: self._check_same(traces[0], again))
        self._place = ""
        try:
            ask(self._name, "close", made.close)
        except WorldError as error:
            self._shown.notes.append(str(error).removeprefix(f"{self._name}: "))

    def _check_same(self, first: list[Any], again: list[Any]) -> None:
        for step, (one, other) in enumerate(zip(first, again, strict=False)):
            if one != other:
                raise WorldError(
                    f"step {step} comes out otherwise, though every action was the same",
                    remedy="Draw everything from a generator that reset makes from its seed; an interrupted training "
                    "repeats the running episodes",
                )
        if len(first) != len(again):
            raise WorldError(f"it took {len(again)} steps, and {len(first)} before, though every action was the same")

    def _run_episode(self, seed: int, *, number: int, shown: bool = True) -> list[Any]:
        """Play an episode; what happened at each step, to be compared.  It ends where nothing can follow a breach."""
        said = EpisodeShown(seed=seed)
        if shown:
            self._shown.episodes.append(said)
            self._place = f"episode {number} (seed {seed}), reset: "
        environment, contract = self._environment, self._contract
        random = np.random.default_rng([self._seed, number])
        reset = self._judge(
            "reset",
            lambda: contract.reset_answer(ask(self._name, "reset", lambda: environment.reset(seed=short_seed(seed)))),
        )
        alive = None if reset is None else self._judge("agents", lambda: contract.alive(environment, begun=True))
        if reset is None or alive is None:
            return []
        if not self._shown.agents:
            self._learn_offers(*reset)
        masks = self._perceive(alive, *reset, last=False)
        trace: list[Any] = [self._newest]
        left = np.zeros(len(self._names), dtype=bool)  # who was terminated
        while said.steps < self._limit:
            if shown:
                self._place = f"episode {number} (seed {seed}), step {said.steps}: "
            acting = [name for name in self._names if name in alive]
            joint = {name: self._spaces.action(name, self._drawn(name, masks.get(name), random)) for name in acting}
            answer = self._judge("step", partial(self._stepped, joint))
            if answer is None:
                return trace
            observations, rewards, terminations, truncations, infos = answer
            earned = self._judge("rewards", lambda: contract.rewards(rewards, acting)) or {}  # noqa: B023
            ends = self._judge("ends", lambda: contract.ends(terminations, truncations, acting))  # noqa: B023
            now = self._judge("agents", lambda: contract.alive(environment))
            if ends is None or now is None:
                return trace
            gone, cut = ends
            self._judge("ends", lambda: contract.leaving(now, acting=acting, ended=gone | cut))  # noqa: B023
            self._judge("agents", lambda: contract.returning(now, acting=acting, gone=left))  # noqa: B023
            left[[self._names.index(name) for name in gone]] = True
            said.steps += 1
            said.mean_return += sum(earned.values()) / len(self._names)
            alive = now - gone - cut
            at_limit = bool(alive) and said.steps >= self._limit
            last = not alive or at_limit
            masks = self._perceive(cut | alive if last else alive, observations, infos, last=last)
            trace.append((self._newest, sorted(earned.items(), key=str), sorted(map(str, gone | cut))))
            if last:
                said.end = "cut at the limit" if at_limit else "truncated" if cut else "terminated"
                self._conclude(infos, acting)
                return trace
        return trace

    def _stepped(self, joint: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], ...]:
        return self._contract.step_answer(ask(self._name, "step", lambda: self._environment.step(joint)))

    def _learn_offers(self, observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> None:
        """What the first reset tells, which all later ones and all steps must tell as well."""
        told = [info if isinstance(info := infos.get(name), Mapping) else {} for name in self._names]
        self._neighbour_key = neighbour_key(told)
        self._won_name = next((key for key in WON_NAMES if any(key in info for info in told)), None)
        self._spaces.masks_actions(observations, infos)
        for name in self._names:
            self._shown.agents.append(
                AgentShown(
                    agent=str(name),
                    observation_size=self._spaces.own_size(name),
                    actions=self._spaces.own_actions(name),
                    continuous=self._spaces.rows.is_vector(self._names.index(name)),
                )
            )
            factors = self._spaces.factors.get(name)
            if factors is None:
                continue
            self._shown.agents[-1].factors = factors.sizes
            if factors.ambiguous and self._spaces.offers_mask(name, observations.get(name), infos.get(name, {})):
                self._shown.notes.append(
                    f"an action mask of {name} in one row counts for its {factors.words}; for one mask per factor "
                    "return a tuple of them"
                )

    def _perceive(
        self, seeing: set[Any], observations: Mapping[Any, Any], infos: Mapping[Any, Any], *, last: bool
    ) -> dict[Any, npt.NDArray[np.bool_]]:
        """Check what agents are told; the masks of those that may act."""
        masks: dict[Any, npt.NDArray[np.bool_]] = {}
        newest: list[bytes] = []
        self._judge("observations", lambda: self._contract.known("observations", observations))
        self._judge("infos", lambda: self._contract.known("infos", infos))
        for shown, name in zip(self._shown.agents, self._names, strict=True):
            if name not in seeing:
                continue
            info = self._judge("infos", partial(self._contract.info, infos, name)) or {}
            seen = self._judge("observations", partial(self._spaces.observation, name, observations))
            if seen is not None:
                own = seen[: shown.observation_size]
                if own.size:
                    shown.lowest, shown.highest = (
                        min(shown.lowest, float(own.min())),
                        max(shown.highest, float(own.max())),
                    )
                newest.append(seen.tobytes())
            told = neighbour_key([info])
            if told or (self._neighbour_key and not last):
                judged = partial(self._contract.neighbours, name, info, key=self._neighbour_key)
                row = self._judge("neighbours", judged)
                if row is not None and shown.hears is None:
                    shown.hears = [str(self._names[slot]) for slot in np.flatnonzero(row)]
            mask = self._mask(name, observations.get(name), info, shown, last=last)
            if mask is not None:
                masks[name] = mask
                newest.append(mask.tobytes())
        self._newest = newest
        self._check_state()
        return masks

    def _mask(
        self, name: Any, observation: Any, info: Mapping[str, Any], shown: AgentShown, *, last: bool
    ) -> npt.NDArray[np.bool_] | None:
        if not self._spaces.offers_mask(name, observation, info):
            return self._spaces.any_action(name)
        mask = self._judge("masks", lambda: self._spaces.mask(name, observation, info, last=last))
        if mask is not None and shown.legal is None:
            shown.legal = np.flatnonzero(self._spaces.own_mask(name, mask)).tolist()
        return mask

    def _drawn(self, name: Any, mask: npt.NDArray[np.bool_] | None, random: np.random.Generator) -> npt.NDArray[Any]:
        """A legal action of an agent, as networks give it."""
        rows, slot = self._spaces.rows, self._names.index(name)
        if rows.is_vector(slot):
            return rows.row(slot, random.uniform(-1, 1, rows.size).astype(np.float32))
        legal = np.flatnonzero(self._spaces.any_action(name) if mask is None else mask)
        return rows.row(slot, int(random.choice(legal)))

    def _check_state(self) -> None:
        if not callable(getattr(self._environment, "state", None)):
            return
        try:
            state = ask(self._name, "state", self._environment.state)
        except WorldError as error:
            if not isinstance(error.__cause__, NotImplementedError):
                self._judge("state", partial(_raise, error))
            return
        if state is not None:
            expected = self._state_size
            numbers = self._judge("state", lambda: state_numbers(state, expected=expected, adapter=self._name))
            if expected is None and numbers is not None:
                self._state_size = numbers.size

    def _conclude(self, infos: Mapping[Any, Any], acting: list[Any]) -> None:
        won_name = self._won_name
        if won_name is not None:
            self._judge("success", lambda: self._contract.won(won_name, infos, acting))
            return
        for key in WON_NAMES:
            note = (
                f"infos hold {key!r} at the end of an episode, but not after a reset, so the outcome is the return: "
                "tell it from the reset on if it is to count"
            )
            told = any(isinstance(info, Mapping) and key in info for info in infos.values())
            if told and note not in self._shown.notes:
                self._shown.notes.append(note)


def _raise(error: WorldError) -> None:
    raise error
