"""Makes an environment of packages that another one has, by links, but for some that it installs in other versions.

    python tests/second_environment.py .venv-numpy2 'numpy>=2' --extras trainer,test --constraint constraints.txt

It holds what `heliograph` with these extras needs, and nothing else that the first has: what is held back by another
package there is not found here.  `pip check` has the last word.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "heliograph"


def needed(name: str, extras: Iterable[str], *, without: set[str]) -> dict[str, Distribution]:
    """The installed distributions that a distribution needs with its extras, itself among them, but for some."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    open_ends = [(name, extra) for extra in ("", *extras)]
    while open_ends:
        name, extra = end = open_ends.pop()
        if end in seen or name in without:
            continue
        seen.add(end)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed here")
        for requirement in map(Requirement, found[name].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                other = canonicalize_name(requirement.name)
                open_ends += [(other, each) for each in ("", *requirement.extras)]
    return found


def places(each: Distribution) -> Iterator[str]:
    """What a distribution has in the folder of packages, by its first name."""
    for file in each.files or ():
        first = file.parts[0]
        if first not in ("..", "__pycache__"):
            yield first


def _is_command(file: PurePath) -> bool:
    return file.parts[0] == ".." and file.parent.name == "bin"


def make(target: Path, distributions: Collection[Distribution]) -> Path:
    """The environment with a link for all of these, and their commands; its interpreter."""
    venv.create(target, clear=True, symlinks=True)
    python = target / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip())
    here = Path(sysconfig.get_path("purelib"))
    for name in sorted({name for each in distributions for name in places(each)}):
        (site / name).symlink_to(here / name)
    for command in sorted({file.name for each in distributions for file in each.files or () if _is_command(file)}):
        first, _, rest = (Path(sys.executable).parent / command).read_bytes().partition(b"\n")
        if first.startswith(b"#!"):
            (target / "bin" / command).write_bytes(b"#!%b\n%b" % (bytes(python.absolute()), rest))
            (target / "bin" / command).chmod(0o755)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("other", nargs="+", type=Requirement, help="what is installed there anew")
    parser.add_argument("--extras", type=lambda text: text.split(","), default=[])
    parser.add_argument("--constraint", required=True)
    chosen = parser.parse_args()
    without = {canonicalize_name(each.name) for each in chosen.other}
    python = make(chosen.target, needed(PROJECT, chosen.extras, without=without).values())
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    words = ["install", "--quiet", "--no-compile", "--no-warn-conflicts", "--constraint", chosen.constraint]
    subprocess.run([*pip, *words, *map(str, chosen.other)], check=True)
    subprocess.run([*pip, "check"], check=True)


if __name__ == "__main__":
    main()
