"""The algorithms with a name: where each lives, which settings it reads, what must be known before torch loads.

An algorithm is one package, whose `ENTRY` says all of that, and one line: of `ALGORITHMS` here, or, for an algorithm of
another distribution, of its entry points in the group `heliograph.algorithms`.  Nothing of a package but its entry is
imported before it is used, and an entry imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from heliograph.errors import SettingsError
from heliograph.settings import Settings, did_you_mean

if TYPE_CHECKING:
    from heliograph.environments.vector import EnvironmentSpec

GROUP = "heliograph.algorithms"
"""Entry points of other distributions: `name = "package.module:ENTRY"`."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Metrics that the lower half of a learning curve shows, in this order."""

    label: str
    metrics: tuple[str, ...]
    """Names in `metrics.jsonl`."""


@dataclass(frozen=True, kw_only=True)
class AlgorithmEntry:
    """What is known of an algorithm without importing it."""

    summary: str
    algorithm: str
    """`module:Class` of an `Algorithm` (`trainer.algorithms.interfaces`), made from its sections in their order, the
    environment's spec, `device=`, and `compile_mode=` where it compiles."""
    sections: Mapping[str, str]
    """Sections of the training settings that it reads, each `module:Class` of a `Settings` with a default for all."""
    inherits: Mapping[str, str] = field(default_factory=dict)
    """Where a preset of another algorithm lies beneath: its section -> the own one that takes over what both know."""
    on_policy: bool = False
    """It learns from nothing but what the networks did as they are now."""
    compiles: bool = False
    """It has something to compile."""
    continuous: bool = True
    """It can act in worlds with continuous actions, too."""
    mixed: bool = False
    """It can act in worlds where some agents have numbered actions and others vectors, in rows with room for both
    (`heliograph.action_rows`)."""
    ranks: bool = False
    """Several ranks can learn it together (`trainer.ranks`): what it learns by is of all of them (gradient steps,
    moments), and every rank makes as many steps."""
    curves: Curves

    def settings_of(self, section: str) -> type[Settings]:
        """The class of one of its sections."""
        found: type[Settings] = resolve_name(self.sections[section])
        return found

    def refusal_of_continuous(self, world: str, *, whose: str = "those of") -> str:
        """The same of a world of which no more is known than that its actions are continuous."""
        return "" if self.continuous else f"knows discrete actions alone, and {whose} {world} are continuous"

    def refusal(self, spec: EnvironmentSpec) -> str:
        """Why it cannot act in a world, as its name's sentence goes on; empty if it can."""
        if spec.rows.size and not self.continuous:
            return self.refusal_of_continuous(spec.id, whose="those of some agents in" if spec.mixed else "those of")
        if spec.mixed and not self.mixed:
            return f"knows no teams with both discrete and continuous actions, as that of {spec.id} is"
        return ""

    def load(self) -> Any:
        """The class of the algorithm; imports torch."""
        return resolve_name(self.algorithm)


ALGORITHMS = {
    "mamba": "trainer.algorithms.mamba:ENTRY",
    "mabl": "trainer.algorithms.mabl:ENTRY",
    "mag": "trainer.algorithms.mag:ENTRY",
    "marie": "trainer.algorithms.marie:ENTRY",
    "mazero": "trainer.algorithms.mazero:ENTRY",
    "qmix": "trainer.algorithms.qmix:ENTRY",
    "mappo": "trainer.algorithms.model_free:MAPPO",
    "ippo": "trainer.algorithms.ippo:ENTRY",
    "happo": "trainer.algorithms.happo:ENTRY",
    "attention-ppo": "trainer.algorithms.model_free:ATTENTION_PPO",
    "commnet": "trainer.algorithms.commnet:ENTRY",
    "tarmac": "trainer.algorithms.tarmac:ENTRY",
}
"""`module:ENTRY` by name."""


def known_algorithms() -> tuple[str, ...]:
    """All names: those of this distribution, then those that others bring, sorted."""
    return (*ALGORITHMS, *sorted(_brought().keys() - ALGORITHMS.keys()))


def algorithm_entry(name: str) -> AlgorithmEntry:
    """Raises SettingsError for a name that nobody has, or whose entry cannot be loaded."""
    if name in ALGORITHMS:
        found = resolve_name(ALGORITHMS[name])
    elif name in _brought():
        found = _loaded(name)
    else:
        known = known_algorithms()
        raise SettingsError(
            f"there is no algorithm {name!r}", remedy=f"{did_you_mean(name, known)}There are {', '.join(known)}"
        )
    if not isinstance(found, AlgorithmEntry):
        raise SettingsError(f"algorithm {name!r}: its entry is a {type(found).__name__}, not an AlgorithmEntry")
    return found


def section_owner(section: str) -> AlgorithmEntry | None:
    """An algorithm that reads a section; None if none does."""
    for name in known_algorithms():
        entry = algorithm_entry(name)
        if section in entry.sections:
            return entry
    return None


def _loaded(name: str) -> Any:
    where = _brought()[name]
    try:
        return resolve_name(where)
    except Exception as error:  # whatever importing a foreign package raises
        raise SettingsError(
            f"algorithm {name!r} cannot be loaded from {where}: {error}", remedy="Mend or uninstall its package"
        ) from error


@cache
def _brought() -> dict[str, str]:
    """`module:ENTRY` of the algorithms of other distributions, by name."""
    return {point.name: point.value for point in entry_points(group=GROUP)}
