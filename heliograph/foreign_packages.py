"""Packages of other distributions that bear the name of one of this project's and stand in its place.

`trainer`, `coordinator`, `agent_node` and `analysis` are common words.  Of two folders of a name Python takes whichever
it finds first; of two distributions in one folder the one that was installed last has written over the other.  For the
command line, the public names and the doctor.  Imports none of what it looks for.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
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
    written_over: bool = False
    """It lies where this project's was installed."""

    @property
    def sentence(self) -> str:
        if self.written_over:
            return f"{self.distribution} has written over this project's package {self.package}: {self.path}"
        owner = f"of the distribution {self.distribution}" if self.distribution else "of no installed distribution"
        return f"Python finds another package {self.package} in place of this project's: {self.path}, {owner}"

    @property
    def remedy(self) -> str:
        if not self.distribution:
            return f"Rename {self.path}, or start Python where it does not find it"
        return without(self.distribution)


def without(distribution: str) -> str:
    """What to do about one, by name and version, that has installed a package of the same name."""
    return (
        f"Give each a virtual environment of its own, or: pip uninstall {distribution.partition(' ')[0]}, and then "
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
    if path.parent != _HOME:
        return ForeignPackage(package=package, path=path, distribution=_distribution_of(origin))
    if _is_as_installed(package, origin):
        return None
    # Nobody else's, it was changed by hand, which is no business of ours.
    writer = _distribution_of(origin)
    return ForeignPackage(package=package, path=path, distribution=writer, written_over=True) if writer else None


def claimants(package: str) -> list[str]:
    """Distributions besides this project's that have installed a package of this name, with their versions.

    One that did so in the same folder has written over files of this project, or this project over its.
    """
    from importlib import metadata

    names = set(metadata.packages_distributions().get(package, ())) - {"heliograph"}
    return [f"{name} {metadata.version(name)}" for name in sorted(names)]


def _is_as_installed(package: str, origin: Path) -> bool:
    """Whether a package's first file is what the installer wrote; true where that is not known, as in a checkout."""
    recorded = _recorded().get(f"{package}/{origin.name}")
    if recorded is None:
        return True
    found = urlsafe_b64encode(sha256(origin.read_bytes()).digest()).rstrip(b"=")
    return recorded == f"sha256={found.decode()}"


@cache
def _recorded() -> dict[str, str]:
    """Digests of this project's files as its installer has noted them, by their paths."""
    from importlib import metadata

    try:
        record = metadata.distribution("heliograph").read_text("RECORD") or ""
    except metadata.PackageNotFoundError:
        return {}
    entries = (line.split(",") for line in record.splitlines())
    # The paths that are looked for have no comma, and so no quotes.
    return {entry[0]: entry[1] for entry in entries if len(entry) == 3 and entry[1]}


def _distribution_of(origin: Path) -> str:
    """Of an installed file: name and version of which other's it is.  Reads the metadata of all distributions."""
    from importlib import metadata

    for distribution in metadata.distributions():
        if distribution.name != "heliograph" and any(
            Path(str(file.locate())).resolve() == origin
            for file in distribution.files or ()
            if file.name == origin.name
        ):
            return f"{distribution.name} {distribution.version}"
    return ""
