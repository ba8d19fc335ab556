"""Sizes of a foreign environment's agents, and its observations, masks and actions brought to one size.

For `heliograph.environments.parallel` and `heliograph.environments.conformance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.actions import ActionSpace, ContinuousActions
from heliograph.environments.contract import array_of, ask
from heliograph.environments.images import image_space, is_picture, team_images
from heliograph.errors import WorldError

if TYPE_CHECKING:
    from gymnasium import Space

_ROUNDING = 1e-4
"""By what share of a bound, or of 1, an observation may be past it: simulators compute in other precisions."""
_PROMISED = "Return what observation_space promises, or let it promise this"


class AgentSpaces:
    """The observation and action spaces of all agents of a PettingZoo parallel environment."""

    def __init__(self, environment: Any, names: list[Any], *, adapter: str, action_bits: int) -> None:
        """Raises WorldError unless every agent's observations can be flattened, and as `acting.team_actions` does."""
        from gymnasium import spaces

        from heliograph.environments.acting import team_actions

        self._adapter = adapter
        self._observed: dict[Any, Space[Any]] = {}
        promised: dict[Any, Space[Any]] = {}
        for name in names:
            space = ask(adapter, f"observation_space({name!r})", partial(environment.observation_space, name))
            if isinstance(space, spaces.Dict) and "observation" in space.spaces:
                if "action_mask" in space.spaces:
                    promised[name] = space["action_mask"]
                space = space["observation"]
            self._observed[name] = self._vector_space(name, space)
        self._images = team_images(self._observed, adapter=adapter)
        self.image = next((image.shape for image in self._images.values()), None)
        leaves = [leaf for space in self._observed.values() for leaf in _spaces_in(space)]
        self._boxes = {id(leaf) for leaf in leaves if isinstance(leaf, spaces.Box)}
        self._bounds = {id(leaf): _bounds(leaf) for leaf in leaves}
        self._acting = team_actions(environment, names, adapter=adapter, bits=action_bits)
        self.factors = self._acting.factors
        self._check_promised_masks(promised)
        self._promising = set(promised)
        self._sizes = {name: int(spaces.flatdim(space)) for name, space in self._observed.items()}
        self._identity = dict(zip(names, np.eye(len(names), dtype=np.float32), strict=True))
        self.rows = self._acting.rows
        self.actions = self.rows.mask_size
        self._longest = max(self._sizes.values())
        if not self._longest:
            raise WorldError(
                f"{adapter}: no agent observes anything: observation space {self._observed[names[0]]}",
                remedy="Give at least one agent a number to see; a constant will do",
            )
        several = any(len(set(sizes.values())) > 1 for sizes in (self._sizes, self._acting.sizes))
        self._differ = several or self.rows.mixed
        self.observation_size = self._longest + (len(names) if self._differ else 0)
        self._telling: set[Any] = set()
        self._masked = False

    def masks_actions(self, observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> bool:
        """Whether some actions may be illegal, judged by what the first reset returned, which later ones must keep.

        A mask that the observation space promises counts as told.
        """
        told = {name for name in self._acting.sizes if _offered_masks(observations.get(name), infos.get(name))}
        self._telling = told | self._promising
        surplus = not all(self.any_action(name).all() for name in self._acting.sizes)
        self._masked = surplus or bool(self._telling)
        return self._masked

    def observation(self, name: Any, observations: Mapping[Any, Any]) -> npt.NDArray[np.float32]:
        """float32 [D].  Raises WorldError if it is missing, or not in the agent's space."""
        if name not in observations:
            raise self._bad("observation", name, "is missing", "Return one for each live agent, and at its last step")
        given = observations[name]
        if isinstance(given, Mapping) and "observation" in given and "observation" not in self._keys(name):
            given = given["observation"]
        space = self._observed[name]
        for leaf, value in ((space, given),) if id(space) in self._boxes else _leaves(space, given):
            problem = f"has nothing for {leaf}" if value is None else self._problem(leaf, value)
            if problem:
                raise self._bad("observation", name, problem, _PROMISED)
        padded = np.zeros(self.observation_size, dtype=np.float32)
        with np.errstate(over="ignore"):
            padded[: self._sizes[name]] = self._flat(name, space, given)
        if not np.isfinite(padded).all():
            largest = padded[~np.isfinite(padded)][0]
            raise self._bad("observation", name, f"holds {largest}", "Scale it to about -1 to 1")
        if self._differ:
            padded[self._longest :] = self._identity[name]
        return padded

    def _flat(self, name: Any, space: Space[Any], given: Any) -> Any:
        """Its numbers in one row.  Raises WorldError for what cannot be laid out so."""
        if name in self._images:
            return self._images[name].numbers(given)
        if id(space) in self._boxes:
            return np.asarray(given).reshape(-1)
        from gymnasium import spaces

        try:
            return spaces.flatten(space, given)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._bad("observation", name, f"does not fit its space {space}: {error}", _PROMISED) from error

    def mask(
        self, name: Any, observation: Any, info: Mapping[str, Any], *, last: bool = False
    ) -> npt.NDArray[np.bool_]:
        """bool [A]; in an episode's `last` state it may be left out.

        Raises WorldError for one of a wrong size, one that allows nothing, and two that contradict each other.
        """
        told = _offered_masks(observation, info)
        mask = self.any_action(name)
        if (not told and name in self._telling and not last) or (told and not self._masked):
            missing = "its observation space promises" if name in self._promising else "the first reset told"
            raise self._bad(
                "action_mask",
                name,
                "is told, though the first reset told none" if told else f"is missing, though {missing} it",
                "Tell it at every reset and step",
            )
        read = [self._read_mask(name, offered) for offered in told]
        if len(read) == 2 and not np.array_equal(read[0], read[1]):
            raise self._bad(
                "action_mask",
                name,
                f"is {_bits(read[0])} in the observation and {_bits(read[1])} in infos",
                "Return it in one of them",
            )
        own = mask[self._acting.place(name)]
        if read:
            own[:] = read[0]
        if not own.any():
            raise self._bad("action_mask", name, "allows no action", "Leave at least one action legal")
        return mask

    def _read_mask(self, name: Any, offered: Any) -> npt.NDArray[np.bool_]:
        """bool, of the agent's own actions; of a mask per factor, their product."""
        factors = self.factors.get(name)
        if factors is None:
            return self._mask_of(name, offered, self._acting.sizes[name])
        parts = factors.mask_parts(offered)
        if parts is None:
            return self._mask_of(
                name, offered, factors.count, has=factors.words, or_else=", or a tuple of one mask per factor"
            )
        read = (
            self._mask_of(name, part, size, has=f"{size} in factor {place}")
            for place, (part, size) in enumerate(zip(parts, factors.sizes, strict=True))
        )
        return factors.joint_mask(list(read))

    def _mask_of(
        self, name: Any, offered: Any, size: int, *, has: str = "", or_else: str = ""
    ) -> npt.NDArray[np.bool_]:
        remedy = "Return 1 for legal, 0 for illegal"
        values, problem = array_of(offered)
        if problem or values.shape != (size,):
            problem = problem or f"has shape {values.shape}, its action space has {has or size}"
            raise self._bad("action_mask", name, problem, f"{remedy}, {size} in all{or_else}")
        if values.dtype.kind not in "biuf":
            raise self._bad("action_mask", name, f"is of {values.dtype}", remedy)
        strange = values[(values != 0) & (values != 1)]
        if strange.size:
            raise self._bad("action_mask", name, f"holds {strange[0]}", remedy)
        return values.astype(bool)

    def _check_promised_masks(self, promised: Mapping[Any, Space[Any]]) -> None:
        """Raises WorldError for a mask's space that no mask of the agent's actions could be in."""
        for name, space in promised.items():
            size, factors = self._acting.sizes[name], self.factors.get(name)
            has, parts = (size, "") if factors is None else (factors.words, ", or a Tuple of one per factor")
            promised_sizes = [part.shape for part in _spaces_in(space)]
            possible = [[(size,)]]
            if factors is not None:
                possible += [[(sum(factors.sizes),)], [(each,) for each in factors.sizes]]
            if promised_sizes not in possible:
                raise WorldError(
                    f"{self._adapter}: observation space of agent {name!r} promises the 'action_mask' {space}, "
                    f"its action space has {has}",
                    remedy=f"Let it promise MultiBinary({size}){parts}",
                )

    def offers_mask(self, name: Any, observation: Any, info: Mapping[str, Any]) -> bool:
        """Whether there is a mask to look at, now or after the first reset."""
        return name in self._telling or bool(_offered_masks(observation, info))

    @property
    def continuous(self) -> tuple[ContinuousActions, ...]:
        """See EnvironmentSpec."""
        spaces = self.rows.spaces
        vectors = tuple(space for space in spaces if isinstance(space, ContinuousActions))
        return vectors if len(vectors) == len(spaces) else ()

    @property
    def mixed(self) -> tuple[ActionSpace, ...]:
        """See EnvironmentSpec."""
        return self.rows.spaces if self.rows.mixed else ()

    @property
    def factor_sizes(self) -> tuple[tuple[int, ...], ...]:
        """See EnvironmentSpec.factors."""
        if not self.factors:
            return ()
        return tuple(self._choices(name) for name in self._acting.sizes)

    def _choices(self, name: Any) -> tuple[int, ...]:
        if name in self.factors:
            return self.factors[name].sizes
        return () if isinstance(self._acting.spaces[name], ContinuousActions) else (self._acting.sizes[name],)

    def own_size(self, name: Any) -> int:
        """Numbers of an agent's own observation, which stand before all padding."""
        return self._sizes[name]

    def own_actions(self, name: Any) -> int:
        """Actions of an agent's own space, or dimensions of one, without padding."""
        return self._acting.sizes[name]

    def any_action(self, name: Any) -> npt.NDArray[np.bool_]:
        """bool [A]: all actions, or dimensions of one, that the agent's own space has."""
        return self._acting.whole_mask(name)

    def own_mask(self, name: Any, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The agent's own entries, without padding, of a mask [A]."""
        return mask[self._acting.place(name)]

    def action(self, name: Any, action: npt.NDArray[Any]) -> Any:
        """The environment's own form of an action, given as its row: of one that we count from 0, or of a vector."""
        return self._acting.native(name, action)

    def _vector_space(self, name: Any, space: Any) -> Space[Any]:
        from gymnasium import spaces

        if not isinstance(space, spaces.Space):
            raise WorldError(
                f"{self._adapter}: observation_space({name!r}) returned {space!r}",
                remedy="Return a gymnasium space, the same one every time",
            )
        if not space.is_np_flattenable:
            raise WorldError(
                f"{self._adapter}: observation space {space} of agent {name!r} cannot be made one vector",
                remedy="Give a Box, or a Dict or Tuple of spaces with a fixed size",
            )
        for leaf in _spaces_in(space):
            if isinstance(leaf, spaces.Box) and is_picture(leaf) and image_space(space) is None:
                raise WorldError(
                    f"{self._adapter}: observation space of agent {name!r} holds a picture of {leaf.shape} numbers, "
                    "for which there is no encoder",
                    remedy="Let the agent observe the picture alone, as a Box of three dimensions (height, width, "
                    "channels) with finite bounds, or return features as a vector",
                )
        return space

    def _problem(self, space: Any, given: Any) -> str:
        """Why something is not in a space that is made of no others; empty if it is."""
        if id(space) not in self._boxes:
            return "" if _contains(space, given) else f"is {given!r}, which is not in its space {space}"
        values, problem = array_of(given)
        if problem or values.shape != space.shape:
            return problem or f"has shape {values.shape}, its space says {space.shape}"
        if values.dtype.kind not in "biuf":
            return f"is of {values.dtype}, its space says {space.dtype}"
        if not np.isfinite(values).all():
            return f"holds {values[~np.isfinite(values)].reshape(-1)[0]}"
        if space.dtype.kind in "iu" and values.dtype.kind == "f" and (values != np.floor(values)).any():
            return f"holds {values[values != np.floor(values)].reshape(-1)[0]}, its space says {space.dtype}"
        bounds = self._bounds[id(space)]
        if bounds is None:
            return ""
        outside = (values < bounds[0]) | (values > bounds[1])
        if not outside.any():
            return ""
        place = tuple(int(index) for index in np.argwhere(outside)[0])
        at = f" at {', '.join(map(str, place))}" if place else ""
        return f"holds {values[place]}{at}, outside its space, {space.low[place]} to {space.high[place]}"

    def _keys(self, name: Any) -> Any:
        return getattr(self._observed[name], "spaces", ())

    def _bad(self, what: str, name: Any, problem: str, remedy: str = "") -> WorldError:
        return WorldError(f"{self._adapter}: field {what!r} of agent {name!r} {problem}", remedy=remedy)


def _offered_masks(observation: Any, info: Any) -> list[Any]:
    """The masks that an agent was told: in its observation, in its info, in both or in none."""
    places = [place for place in (observation, info) if isinstance(place, Mapping)]
    return [place["action_mask"] for place in places if place.get("action_mask") is not None]


def _bits(mask: npt.NDArray[np.bool_]) -> str:
    return "".join(str(int(value)) for value in mask)


def _contains(space: Any, given: Any) -> bool:
    try:
        return bool(space.contains(given))
    except (TypeError, ValueError, OverflowError):  # some spaces make an array of it first
        return False


def _spaces_in(space: Any) -> Iterator[Any]:
    """The spaces that a space is made of, or it alone."""
    parts = getattr(space, "spaces", None)
    if parts is None:
        yield space
        return
    for part in parts.values() if isinstance(parts, Mapping) else parts:
        yield from _spaces_in(part)


def _leaves(space: Any, given: Any) -> Iterator[tuple[Any, Any]]:
    """What was given for each of the spaces that a space is made of; None where there is nothing."""
    parts = getattr(space, "spaces", None)
    if parts is None:
        yield space, given
    elif isinstance(parts, Mapping):
        for key, part in parts.items():
            yield from _leaves(part, given.get(key) if isinstance(given, Mapping) else None)
    else:
        fits = isinstance(given, tuple | list) and len(given) == len(parts)
        for place, part in enumerate(parts):
            yield from _leaves(part, given[place] if fits else None)


def _bounds(space: Any) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]] | None:
    """Between which numbers an observation of a box must be; None where there are no bounds."""
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    if low is None or high is None or (np.isneginf(low).all() and np.isposinf(high).all()):
        return None
    below, above = (_ROUNDING * np.maximum(1.0, np.abs(bound)) for bound in (low, high))
    return low - below, high + above
