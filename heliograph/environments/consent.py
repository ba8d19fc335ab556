"""Leave to run a run folder's own code, asked for once: remembered on this machine, and never in the folder itself.

A run folder is copied and handed on; what it says of itself proves nothing.  So the answer lies with the user, in
$XDG_STATE_HOME/heliograph/consent (~/.local/state by default), and holds for that folder at that path, the environment
and the parameters that it names now, and the file in which its module is found now.

May be imported by `trainer`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from heliograph.environments import registry
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.errors import EnvironmentUntrusted


def consented(folder: Path, environment: str, parameters: Mapping[str, Any], permission: Permission) -> Permission:
    """The permission to make what the settings of a run folder name: the one given, or one that was given earlier.

    A new one is remembered.  Raises what `registry.check` raises.
    """
    try:
        registry.check(environment, parameters, CATALOGUE_ONLY)
        return permission
    except EnvironmentUntrusted:
        pass
    question = _question(folder, environment, parameters)
    try:
        registry.check(environment, parameters, permission)
    except EnvironmentUntrusted as refusal:
        if _is_remembered(question):
            return permission.also([environment]).also_given(parameters)
        raise EnvironmentUntrusted(
            refusal.message, remedy=f"{refusal.remedy}; for this run it is asked once, and then remembered"
        ) from None
    _remember(question)
    return permission


def _question(folder: Path, environment: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "folder": str(folder.resolve()),
        "environment": environment,
        "parameters": dict(parameters),
        "module": _origin(environment.partition(":")[0].partition(".")[0]),
    }


def _origin(package: str) -> str:
    """The file that a package or module would come from, here and now; looked for and not imported."""
    try:
        # The current folder comes last, as it does when an environment is imported.
        found = find_spec(package) or PathFinder.find_spec(package, [*sys.path, os.getcwd()])
    except ValueError:  # a module that is there and has no file
        return ""
    if found is None:
        return ""
    return str(found.origin or list(found.submodule_search_locations or ()))


def _answer(question: Mapping[str, Any]) -> Path:
    """The file whose existence is the answer.  Raises OSError for a user without a home."""
    try:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(0, str(error)) from error
    digest = sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    return Path(home) / "heliograph" / "consent" / f"{digest}.json"


def _is_remembered(question: Mapping[str, Any]) -> bool:
    try:
        return _answer(question).is_file()
    except OSError:
        return False


def _remember(question: Mapping[str, Any]) -> None:
    if _is_remembered(question):
        return
    told = f"{question['environment']} is allowed to {question['folder']}"
    try:
        file = _answer(question)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json.dumps(question, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"{told} this time alone, as it cannot be remembered: {error}", file=sys.stderr)
    else:
        print(f"{told}, which is not asked again (remembered in {file})", file=sys.stderr)
