"""What the arguments of `heliograph compare` name: run folders, folders of them, marl-eval files, with labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from analysis.comparison.histories import History, read_file, read_run
from heliograph.errors import SettingsError
from heliograph.run_status import warn_unless_finished

SETTINGS = "settings.json"


def read_histories(arguments: Iterable[str], *, metric: str, policy: str, by: str | None) -> list[History]:
    """Read everything that `[LABEL=]PATH` arguments name.  Raises SettingsError."""
    if by is not None and by.rpartition(".")[2] == "seed":
        raise SettingsError(
            f"runs cannot be grouped by {by}: runs that differ in their seed are repetitions of one another",
            remedy="Group by what you changed on purpose",
        )
    histories: list[History] = []
    seen: dict[Path, str] = {}
    for argument in arguments:
        label, pattern = _split(argument)
        for path in _paths(pattern):
            if path.resolve() in seen:
                raise SettingsError(f"{path} is named twice", remedy="A run that counts twice would make errors small")
            seen[path.resolve()] = argument
            if path.is_dir():
                warn_unless_finished(path)
                histories.append(read_run(path, metric=metric, policy=policy, label=label, by=by))
            else:
                histories += read_file(path, metric=metric, label=label)
    return histories


def _split(argument: str) -> tuple[str | None, str]:
    """Label, if there is one, and path; a path that exists may hold an equals sign itself."""
    label, separator, rest = argument.partition("=")
    if not separator or Path(argument).exists():
        return None, argument
    if not label or not rest:
        raise SettingsError(f"{argument!r} is not of the form LABEL=RUN")
    return label, rest


def _paths(pattern: str) -> Iterator[Path]:
    """Run folders and files.  The shell does not expand a pattern after a label, so it is done here."""
    found = sorted(glob(pattern)) if has_magic(pattern) and not Path(pattern).exists() else [pattern]
    if not found:
        raise SettingsError(f"nothing matches {pattern}")
    for path in map(Path, found):
        if not path.exists():
            raise SettingsError(f"{path} does not exist")
        if path.is_dir() and not (path / SETTINGS).is_file():
            inside = sorted(entry for entry in path.iterdir() if (entry / SETTINGS).is_file())
            if not inside:
                raise SettingsError(f"{path} is not a run folder, and holds none (no {SETTINGS})")
            yield from inside
        else:
            yield path
