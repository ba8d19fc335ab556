"""What a PettingZoo parallel environment must be and return, checked field by field.

Each check takes one thing that the environment gave and returns it in the form that the adapter reads; a breach is one
sentence with the field, the agent, what was found and the remedy.  Observations, masks and actions, which depend on
the agents' spaces, are checked in `heliograph.environments.spaces`.

For `heliograph.environments.parallel`, which stops at the first breach, and `heliograph.environments.conformance`,
which asks all of them.  Imports neither PettingZoo nor gymnasium.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from heliograph.errors import HeliographError, WorldError
from heliograph.stopping import Stopped

Answer = TypeVar("Answer")

LIMIT_NAMES = ("max_cycles", "episode_limit", "max_steps", "max_episode_steps", "_max_episode_steps", "horizon")
"""Attributes of an environment that are taken for the number of steps after which an episode ends."""
NEIGHBOUR_NAMES = ("neighbours", "hears")
"""Of the list of agents in `infos` whose messages an agent receives; the second is the older name."""
WON_NAMES = ("won", "is_success")
"""Entries of `infos` that say whether an episode is won."""
_LARGEST = float(np.finfo(np.float32).max)
_METHODS = ("reset", "step", "observation_space", "action_space")
_RESET = "Return (observations, infos), two dicts by agent"
_STEP = "Return (observations, rewards, terminations, truncations, infos), five dicts by agent"
_STEP_FIELDS = ("observations", "rewards", "terminations", "truncations", "infos")


class ParallelContract:
    """The checks for one team; `adapter` begins every sentence, `names` are its `possible_agents`."""

    def __init__(self, names: Iterable[Any], *, adapter: str) -> None:
        self.names = list(names)
        self._adapter = adapter
        self._slots = {name: slot for slot, name in enumerate(self.names)}

    def reset_answer(self, answer: Any) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
        """Observations and infos.  Raises WorldError unless a reset returned these two dicts."""
        if isinstance(answer, Mapping):
            raise self._broken("reset returned observations only", _RESET)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise self._broken(f"reset returned {_form(answer)}", _RESET)
        return self._dict("reset", "observations", answer[0], _RESET), self._dict("reset", "infos", answer[1], _RESET)

    def step_answer(self, answer: Any) -> tuple[Mapping[Any, Any], ...]:
        """Observations, rewards, terminations, truncations and infos.  Raises WorldError unless these five dicts."""
        if isinstance(answer, tuple | list) and len(answer) == 4:
            raise self._broken("step returned 4 values, the interface with `dones` of old", _STEP)
        if not isinstance(answer, tuple | list) or len(answer) != 5:
            raise self._broken(f"step returned {_form(answer)}", _STEP)
        return tuple(self._dict("step", field, given, _STEP) for field, given in zip(_STEP_FIELDS, answer, strict=True))

    def alive(self, environment: Any, *, begun: bool = False) -> set[Any]:
        """Names in `agents` now.  Raises WorldError for anything else, and if an episode has `begun` with nobody."""
        agents = ask(self._adapter, "agents", lambda: getattr(environment, "agents", None))
        living = ask(self._adapter, "agents", lambda: _listed(agents))
        if living is None:
            raise self._broken(f"`agents` is {_form(agents)}", "Keep a list of the names of live agents in it")
        unknown = [name for name in living if self._slot(name) is None]
        if unknown:
            raise self._broken(f"`agents` names {unknown[0]!r}, which is not in `possible_agents`", self._known())
        if begun and not living:
            raise self._broken(
                "`agents` is empty after a reset", "Let reset set self.agents = list(self.possible_agents)"
            )
        return set(living)

    def rewards(self, rewards: Mapping[Any, Any], acting: Iterable[Any]) -> dict[Any, float]:
        """A finite number for each agent that acted.  Raises WorldError."""
        self.known("rewards", rewards)
        return {name: self._reward(name, rewards) for name in acting}

    def _reward(self, name: Any, rewards: Mapping[Any, Any]) -> float:
        remedy = "Return one finite number for each agent that acted"
        if name not in rewards:
            raise self._of("reward", name, "is missing, though it acted", remedy)
        given, problem = array_of(rewards[name])
        if problem or given.ndim:
            raise self._of("reward", name, problem or f"has shape {given.shape}", f"{remedy}, not a vector")
        if not _is_of_numbers(given):
            raise self._of("reward", name, f"is {rewards[name]!r}", remedy)
        value = float(given)
        if not abs(value) <= _LARGEST:  # nor NaN
            raise self._of("reward", name, f"is {value}", f"{remedy}, of about -10 to 10 at best")
        return value

    def ends(
        self, terminated: Mapping[Any, Any], truncated: Mapping[Any, Any], acting: Iterable[Any]
    ) -> tuple[set[Any], set[Any]]:
        """Who of those that acted was terminated, and who was cut by time alone.  Raises WorldError."""
        acting = list(acting)
        gone, cut = self._ended("terminations", terminated, acting), self._ended("truncations", truncated, acting)
        return gone, cut - gone

    def _ended(self, field: str, given: Mapping[Any, Any], acting: Iterable[Any]) -> set[Any]:
        self.known(field, given)
        remedy = "Return True or False for each that acted"
        ended = set()
        for name in acting:
            if name not in given:
                raise self._of(field, name, "is missing, though it acted", remedy)
            if self._flag(field, name, given[name], remedy):
                ended.add(name)
        return ended

    def leaving(self, living: set[Any], *, acting: Iterable[Any], ended: set[Any]) -> None:
        """Raises WorldError for an agent that acted and is no longer in `agents`, though its part has not `ended`."""
        for name in acting:
            if name not in living and name not in ended:
                raise self._broken(
                    f"agent {name!r} left `agents`, but was neither terminated nor truncated",
                    "Say in terminations or truncations why its part of the episode is over",
                )

    def returning(self, living: set[Any], *, acting: Iterable[Any], gone: npt.NDArray[np.bool_]) -> None:
        """Raises WorldError for an agent that is in `agents` again after it was terminated, bool [N] by slot."""
        for name in living.difference(acting):
            if gone[self._slots[name]]:
                raise self._broken(
                    f"agent {name!r} is in `agents` again after it was terminated",
                    "Let its part of the episode end for good, or leave it in `agents` meanwhile",
                )

    def info(self, infos: Mapping[Any, Any], name: Any) -> Mapping[Any, Any]:
        """The info of an agent, empty where there is none.  Raises WorldError unless it is a dict."""
        given = infos.get(name, {})
        if not isinstance(given, Mapping):
            raise self._of("infos", name, f"is {_form(given)}", "Return a dict for each agent, empty if need be")
        return given

    def neighbours(self, name: Any, info: Mapping[Any, Any], *, key: str | None) -> npt.NDArray[np.bool_] | None:
        """bool [N]: whose messages an agent receives, or None where it is everyone's.

        `key` is the name under which the first reset told it of at least one agent.  Raises WorldError if it is missing
        then or there otherwise, if both names are there and differ, and for a name that is not of the team.
        """
        found = [each for each in NEIGHBOUR_NAMES if each in info]
        if key not in info if key else found:
            remedy = "an empty list for an agent without neighbours"
            raise self._of(key or found[0], name, *_now_and_then(key or found[0], bool(key), remedy))
        if not key:
            return None
        rows = [self._neighbour_row(each, name, info[each]) for each in found]
        if any((row != rows[0]).any() for row in rows):
            raise self._of(found[1], name, f"is another than {found[0]!r}", f"Return {found[0]!r} alone, its new name")
        return rows[0]

    def _neighbour_row(self, key: str, name: Any, given: Any) -> npt.NDArray[np.bool_]:
        listed = None if isinstance(given, Mapping) else ask(self._adapter, key, lambda: _listed(given))
        if listed is None:
            raise self._of(key, name, f"is {_form(given)}", "Return a list of agents, by name or slot")
        row = np.zeros(len(self.names), dtype=bool)
        for other in listed:
            named = self._slot(other)
            slot = other if named is None else named
            if not isinstance(slot, int | np.integer) or isinstance(slot, bool) or not 0 <= slot < len(self.names):
                raise self._of(key, name, f"names {other!r}, not of the team", self._known())
            row[slot] = True
        row[self._slots[name]] = False
        return row

    def won(self, key: str, infos: Mapping[Any, Any], acting: Iterable[Any]) -> bool:
        """Whether all that acted at the last step have won.  Raises WorldError where one does not say."""
        remedy = f"Return True or False as infos[agent][{key!r}], as the reset did"
        told = []
        for name in acting:
            info = self.info(infos, name)
            if key not in info:
                raise self._of(key, name, "is missing at the end of an episode", remedy)
            told.append(self._flag(key, name, info[key], remedy))
        return all(told)

    def known(self, field: str, given: Mapping[Any, Any]) -> None:
        """Raises WorldError if a dict by agent has an entry for somebody who is not of the team."""
        for name in given:
            if self._slot(name) is None:
                raise self._broken(f"field {field!r} names {name!r}, which is not in `possible_agents`", self._known())

    def _slot(self, name: Any) -> int | None:
        """The slot of an agent of the team; None for whatever else is given for a name."""
        return self._slots.get(name) if _can_be_name(name) else None

    def _flag(self, field: str, name: Any, given: Any, remedy: str) -> bool:
        value, problem = array_of(given)
        if problem or value.ndim or not _is_of_numbers(value) or value.item() not in (0, 1):
            raise self._of(field, name, problem or f"is {given!r}", remedy)
        return bool(value)

    def _dict(self, what: str, field: str, given: Any, remedy: str) -> Mapping[Any, Any]:
        if not isinstance(given, Mapping):
            raise self._broken(f"{what} returned {_form(given)} as {field}", remedy)
        return given

    def _known(self) -> str:
        return f"Its agents are {', '.join(repr(name) for name in self.names)}"

    def _of(self, field: str, name: Any, problem: str, remedy: str) -> WorldError:
        return self._broken(f"field {field!r} of agent {name!r} {problem}", remedy)

    def _broken(self, problem: str, remedy: str) -> WorldError:
        return WorldError(f"{self._adapter}: {problem}", remedy=remedy)


def checked_team(environment: Any, *, adapter: str) -> list[Any]:
    """The names of a team, in the order of their slots.

    Raises WorldError unless this is a parallel environment of at least one agent, each with a name of its own.
    """
    if _is_turn_based(environment):
        raise WorldError(
            f"{adapter}: this is an AEC environment, whose agents act in turn",
            remedy="Wrap it in aec_to_parallel, of pettingzoo.utils.conversions, or name the factory `parallel_env`",
        )
    remedy = "The factory must return a PettingZoo ParallelEnv"
    if environment is None or not hasattr(environment, "possible_agents"):
        single = environment is not None and hasattr(environment, "observation_space")
        found = "an environment of a single agent" if single else f"{_form(environment)}, without `possible_agents`"
        raise WorldError(f"{adapter}: the factory returned {found}", remedy=remedy)
    for method in _METHODS:
        if not callable(getattr(environment, method, None)):
            raise WorldError(f"{adapter}: it has no method {method!r}", remedy=remedy)
    named = environment.possible_agents
    names = _listed(named)
    if names is None:
        raise WorldError(f"{adapter}: `possible_agents` is {_form(named)}", remedy="List the names of all agents")
    for name in names:
        if not _can_be_name(name):
            raise WorldError(
                f"{adapter}: `possible_agents` names {name!r}, which cannot be a key of a dict",
                remedy="Name each agent by a string or a number",
            )
    if not names or len(set(names)) < len(names):
        raise WorldError(
            f"{adapter}: `possible_agents` is {names}", remedy="List at least one agent, each with a name of its own"
        )
    return names


def found_limit(environment: Any, step_limit: Any, *, adapter: str) -> int:
    """Steps after which an episode is over: the least of what the environment and the parameter `step_limit` say.

    Raises WorldError where neither says anything, or `step_limit` is no positive number.
    """
    if step_limit is not None and not _is_limit(step_limit):
        raise WorldError(f"{adapter}: step_limit is {step_limit!r}", remedy="Give a whole number of steps from 1")
    inner = getattr(getattr(environment, "aec_env", None), "unwrapped", None)
    places = (environment, getattr(environment, "unwrapped", None), inner)
    found = [getattr(place, name, None) for place in places for name in LIMIT_NAMES]
    limits = [int(limit) for limit in (*found, step_limit) if _is_limit(limit)]
    if not limits:
        raise WorldError(
            f"{adapter}: no episode limit found, for it has none of the attributes {', '.join(LIMIT_NAMES)}",
            remedy="Give it one of them, or say --set environment.parameters.step_limit=N to `train`"
            " (elsewhere --set step_limit=N)",
        )
    return min(limits)


def array_of(given: Any) -> tuple[npt.NDArray[Any], str]:
    """What was given as an array, and nothing; or an empty array, and what is wrong with a thing that numpy refuses."""
    try:
        return np.asarray(given), ""
    except Exception as error:  # a foreign thing may raise anything when it is asked for its numbers
        ragged = isinstance(error, ValueError) and "inhomogeneous" in str(error)
        told = "differ in length" if ragged else f"cannot be read as numbers: {type(error).__name__}: {error}"
        return np.empty(0), f"is {_form(given)} that {told}"


def state_numbers(state: Any, *, expected: int | None, adapter: str) -> npt.NDArray[np.float32]:
    """A global state, float32 [S].

    Raises WorldError unless it is of finite numbers, as many as `expected` where that is known.
    """
    values, problem = array_of(state)
    if problem or not _is_of_numbers(values):
        raise WorldError(
            f"{adapter}: state is not made of numbers: it {problem or f'is of {values.dtype}'}",
            remedy="Return one array of finite numbers, or None where there is no state",
        )
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32).reshape(-1)
    if not np.isfinite(numbers).all():
        raise WorldError(f"{adapter}: state holds {numbers[~np.isfinite(numbers)][0]}", remedy="Return finite numbers")
    if expected is not None and numbers.size != expected:
        raise WorldError(
            f"{adapter}: state has {numbers.size} numbers, and had {expected} after the first reset",
            remedy="Return as many every time",
        )
    return numbers


def ask(adapter: str, what: str, call: Callable[[], Answer], *, passing: tuple[type[Exception], ...] = ()) -> Answer:
    """What foreign code answers.

    Raises WorldError, with the place, for whatever it raises, an exit or a cancellation included; errors of our own,
    those in `passing` and what a stop raises wherever the work is as they are.
    """
    ours: tuple[type[BaseException], ...] = (HeliographError, KeyboardInterrupt, Stopped, *passing)
    try:
        return call()
    except SystemExit as error:
        raise WorldError(
            f"{adapter}: {what} called sys.exit({'' if error.code is None else repr(error.code)}){_place(error)}",
            remedy="An environment must not end its process; end the episode, or raise an error",
        ) from error
    except ours:
        raise
    except BaseException as error:  # foreign code may raise anything, and the caller must learn whose fault it is
        raise WorldError(
            f"{adapter}: {what} raised {type(error).__name__}{f': {error}' if str(error) else ''}{_place(error)}",
            remedy=_signature(what, error),
        ) from error


def _signature(what: str, error: BaseException) -> str:
    if what == "reset" and isinstance(error, TypeError) and "'seed'" in str(error):
        return "Define reset(self, seed=None, options=None)"
    return ""


def _place(error: BaseException) -> str:
    # Some packages put a function of their own in the place of sys.exit; what exits is who called that.
    substitute = getattr(sys.exit, "__code__", None)
    frames = [walked for walked in traceback.walk_tb(error.__traceback__) if walked[0].f_code is not substitute]
    if len(frames) < 2:  # the first is the call here
        return ""
    frame, line = frames[-1]
    return f" ({Path(frame.f_code.co_filename).name}, line {line})"


def _is_turn_based(environment: Any) -> bool:
    kinds = {kind.__name__ for kind in type(environment).__mro__}
    return "ParallelEnv" not in kinds and ("AECEnv" in kinds or hasattr(environment, "agent_iter"))


def _is_limit(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)


def _is_of_numbers(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind in "biuf"


def _can_be_name(given: Any) -> bool:
    try:
        hash(given)
    except TypeError:
        return False
    return True


def _listed(given: Any) -> list[Any] | None:
    """Each thing in a collection; None for a text, and for what holds no things one by one."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        return None
    return list(given)


def neighbour_key(infos: Iterable[Mapping[Any, Any]]) -> str | None:
    """The name under which some of the infos tell whose messages an agent receives; None if none does."""
    found = {key for info in infos for key in NEIGHBOUR_NAMES if key in info}
    return next((key for key in NEIGHBOUR_NAMES if key in found), None)


def _now_and_then(field: str, offered: bool, remedy: str) -> tuple[str, str]:
    """What is wrong with a field that is told at some times only, and the remedy."""
    when = "is missing, though the first reset told it" if offered else "is told, though the first reset did not"
    return when, f"Return infos[agent][{field!r}] for every live agent at every reset and step: {remedy}"


def _form(given: Any) -> str:
    """What kind of thing somebody gave, in a few words."""
    if given is None:
        return "None"
    if isinstance(given, tuple | list):
        return f"{len(given)} values"
    return f"a {type(given).__name__}"
