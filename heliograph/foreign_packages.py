"""Packages of other distributions that bear the name of one of this project's and stand in its place.

`trainer`, `coordinator`, `agent_node` and `analysis` are common words, and Python takes whichever it finds first.  For
the command line, the public names and the doctor.  Imports none of what it looks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import heliograph

PACKAGES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
"""Of this project; an image leaves out those, and parts of them, that its role does not need."""

_HOME = Path(heliograph.__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class ForeignPackage:
    """What Python finds in place of `package`."""

    package: str
    path: Path
    distribution: str
    """Name and version; empty where no installed distribution has it."""

    @property
    def sentence(self) -> str:
        owner = f"of the distribution {self.distribution}" if self.distribution else "of no installed distribution"
        return f"Python finds another package {self.package} in place of this project's: {self.path}, {owner}"

    @property
    def remedy(self) -> str:
        if not self.distribution:
            return f"Rename {self.path}, or start Python where it does not find it"
        name = self.distribution.partition(" ")[0]
        return (
            f"Give each a virtual environment of its own, or: pip uninstall {name}, and then "
            "pip install --force-reinstall --no-deps heliograph (in a checkout: pip install --editable . --no-deps)"
        )


def foreign(package: str) -> ForeignPackage | None:
    """What Python finds in place of a package of this project; None if that is the project's own, or nothing."""
    if package not in PACKAGES:
        return None
    try:
        spec = find_spec(package)
    except ValueError:  # it is loaded, and nobody knows from where
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin).resolve()
    path = origin.parent if origin.stem == "__init__" else origin
    if path.parent == _HOME:
        return None
    return ForeignPackage(package=package, path=path, distribution=_distribution_of(origin))


def claimants(package: str) -> list[str]:
    """Distributions besides this project's that have installed a package of this name, with their versions.

    One that did so in the same folder has written over files of this project, or this project over its.
    """
    from importlib import metadata

    names = set(metadata.packages_distributions().get(package, ())) - {"heliograph"}
    return [f"{name} {metadata.version(name)}" for name in sorted(names)]


def _distribution_of(origin: Path) -> str:
    """Of an installed file: name and version of whose it is.  Reads the metadata of all distributions."""
    from importlib import metadata

    for distribution in metadata.distributions():
        if any(
            Path(str(file.locate())).resolve() == origin
            for file in distribution.files or ()
            if file.name == origin.name
        ):
            return f"{distribution.name} {distribution.version}"
    return ""
