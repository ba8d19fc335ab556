"""Finds a factory of PettingZoo parallel environments by its import path and wraps what it makes.

For `heliograph.environments` only.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.contract import ask
from heliograph.environments.parallel import ParallelVector
from heliograph.errors import MissingExtra, SettingsError, UnknownEnvironment
from heliograph.extras import install

_DEFAULT_FACTORY = "parallel_env"
"""What PettingZoo calls the factory of a parallel environment in each of its modules."""

_TURN_BASED = (
    "Its env() makes an AEC environment, whose agents act in turn: name a factory that returns aec_to_parallel(env()), "
    "of pettingzoo.utils.conversions"
)

_OURS = frozenset({"step_limit", "action_bits"})
"""Parameters that the factory does not get."""


def imported_environment(
    path: str, *, count: int, parameters: Mapping[str, Any], extras: Mapping[str, str], search_here: bool
) -> ParallelVector:
    """Make `count` copies of what `package.module[:factory]` builds from `parameters`.

    `step_limit`, `action_bits` and `render_mode` among the parameters are the adapter's: the first two are those of
    ParallelVector, the last goes to the factory but is no part of the world's identity.  `extras` maps package to
    extra, for the remedy.  With `search_here` the module may lie in the current folder.
    """
    return ParallelVector(
        imported_factory(path, parameters=parameters, extras=extras, search_here=search_here),
        count=count,
        id=path,
        parameters={name: value for name, value in parameters.items() if name != "render_mode"},
        step_limit=parameters.get("step_limit"),
        action_bits=_bits(parameters.get("action_bits", DEFAULT_BITS), path=path),
    )


def imported_factory(
    path: str, *, parameters: Mapping[str, Any], extras: Mapping[str, str], search_here: bool
) -> Callable[[], Any]:
    """What makes one environment of `package.module[:factory]` with those parameters that are not the adapter's."""
    module_path, _, factory_name = path.partition(":")
    module = _module(module_path, extras=extras, search_here=search_here)
    factory = getattr(module, factory_name or _DEFAULT_FACTORY, None)
    if not callable(factory):
        raise UnknownEnvironment(
            f"module {module_path!r} has no factory {factory_name or _DEFAULT_FACTORY!r}",
            remedy=_TURN_BASED
            if callable(getattr(module, "env", None)) and not factory_name
            else "Name one as package.module:factory; it must return a PettingZoo parallel environment",
        )
    arguments = {name: value for name, value in parameters.items() if name not in _OURS}

    def build() -> Any:
        try:
            return factory(**arguments)
        except TypeError as error:
            known = _parameters(factory, module)
            if set(arguments) <= known:
                raise
            raise SettingsError(
                f"parameters of {path}: {error}", remedy=f"Valid are {', '.join(sorted(known | _OURS))}"
            ) from error

    return build


def _bits(given: Any, *, path: str) -> int:
    if type(given) is not int or not 2 <= given <= 16:
        raise SettingsError(f"parameters of {path}: action_bits is {given!r}", remedy="Give an integer from 2 to 16")
    return given


def _module(path: str, *, extras: Mapping[str, str], search_here: bool) -> Any:
    # A console script does not look for modules where it was started, but that is where a user's own environment is.
    if search_here and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    # pygame, under mpe2, greets on stdout, which belongs to the command that runs.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():
            # pygame up to 2.6 imports pkg_resources, which warns of its own removal; nothing here can change that.
            warnings.filterwarnings("ignore", message=".*pkg_resources")
            return ask(
                f"environment {path!r}",
                "its import",
                lambda: importlib.import_module(path),
                passing=(ModuleNotFoundError,),
            )
    except ModuleNotFoundError as error:
        package = path.partition(".")[0]
        name = error.name or path
        missing = name.partition(".")[0]
        if find_spec(package) is not None and f"{path}.".startswith(f"{name}."):
            raise UnknownEnvironment(f"package {package!r} has no module {path!r}") from None
        if package in extras:
            remedy = install(extras[package])
        else:
            remedy = f"Install the package that provides {missing!r}, or see `heliograph environments`"
        raise MissingExtra(f"environment {path!r} needs {missing!r}, which is not installed", remedy=remedy) from None


def _parameters(factory: Callable[..., Any], module: Any) -> set[str]:
    """Names that the factory takes.  PettingZoo's own factories take anything and hand it to the module's `raw_env`."""
    names: set[str] = set()
    for candidate in (factory, getattr(module, "raw_env", None)):
        if candidate is not None:
            kinds = inspect.signature(candidate).parameters.values()
            names |= {one.name for one in kinds if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    return names
