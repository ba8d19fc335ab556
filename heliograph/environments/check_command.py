"""`heliograph environments check NAME`: plays an environment and says of every rule whether it is kept."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

from heliograph.environments.conformance import BROKEN, AgentShown, Conformance, examine
from heliograph.environments.factors import Factors
from heliograph.errors import SettingsError, WorldError
from heliograph.settings import merge

_MARKS = {"kept": "kept", "broken": "BROKEN", "not offered": "not offered", "not reached": "not reached"}
_COLUMNS = ("agent", "observation", "actions", "legal", "receives from")
_FEW = 12
"""Legal actions that are named one by one."""


def run_check(arguments: argparse.Namespace) -> int:
    """Check the environment that was named; 0 if it keeps all rules, otherwise the exit code of a WorldError."""
    if len(arguments.words) != 2 or arguments.words[0] != "check":
        raise SettingsError(
            f"cannot make anything of {' '.join(arguments.words)!r}",
            remedy="Name one environment, or write `heliograph environments check NAME`",
        )
    if arguments.episodes < 1 or not 0 <= arguments.seed < 2**63:
        raise SettingsError(
            f"cannot run {arguments.episodes} episodes from seed {arguments.seed} on",
            remedy="Run at least one, from a seed in 0..2**63-1",
        )
    name, parameters = arguments.words[1], merge({}, arguments.overrides)
    with redirect_stdout(sys.stderr):  # what the environment prints is not the result
        found = examine(
            _factory(name, parameters),
            environment=name,
            step_limit=parameters.get("step_limit"),
            episodes=arguments.episodes,
            seed=arguments.seed,
        )
    if arguments.json:
        print(json.dumps({**asdict(found), "keeps_all": found.keeps_all}, indent=2, default=str))
    else:
        _print(found)
    return 0 if found.keeps_all else WorldError.exit_code


def _factory(name: str, parameters: Mapping[str, Any]) -> Callable[[], Any]:
    """What makes one copy as a PettingZoo environment: the user's own, or ours seen as one."""
    from heliograph.environments import registry
    from heliograph.environments.catalogue import CATALOGUE
    from heliograph.environments.parallel import as_parallel
    from heliograph.environments.permission import Permission

    entry = CATALOGUE.get(name)
    if (entry is not None and entry.settings) or not ("." in name or ":" in name):
        permission = Permission.of_user([name]).also_given(parameters)
        return lambda: as_parallel(registry.make(name, count=1, parameters=parameters, permission=permission))
    from heliograph.environments.imported import imported_factory

    extras = {entry.package: entry.extra for entry in CATALOGUE.values() if entry.package}
    return imported_factory(name, parameters=parameters, extras=extras, search_here=True)


def _print(found: Conformance) -> None:
    from rich.text import Text

    from heliograph import display

    console = display.console()
    if found.agents:
        table = display.table(f"{found.environment}, after its first reset", *_COLUMNS, left=_COLUMNS)
        for agent in found.agents:
            table.add_row(*map(Text, (agent.agent, _observation(agent), _actions(agent), _legal(agent), _hears(agent))))
        console.print(table)
    for number, episode in enumerate(found.episodes):
        console.print(
            f"episode {number}, seed {episode.seed}: {episode.steps} steps, {episode.end}, "
            f"return {episode.mean_return:.4g} per agent",
            highlight=False,
        )
    console.print()
    for verdict in found.verdicts:
        console.print(f"{_MARKS[verdict.verdict]:12} {verdict.meaning}", highlight=False, markup=False)
        if verdict.problem:
            console.print(f"{'':12} {verdict.problem}", highlight=False, markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"{'note':12} {note}", highlight=False, markup=False, soft_wrap=True)
    broken = sum(verdict.verdict == BROKEN for verdict in found.verdicts)
    said = (
        "every rule is kept: it can be trained in"
        if found.keeps_all
        else f"{broken} of {len(found.verdicts)} rules broken"
    )
    console.print(f"\n{found.environment}: {said}", highlight=False, markup=False)


def _observation(agent: AgentShown) -> str:
    seen = f", {agent.lowest:.3g} to {agent.highest:.3g}" if agent.lowest <= agent.highest else ""
    return f"{agent.observation_size} number{'' if agent.observation_size == 1 else 's'}{seen}"


def _actions(agent: AgentShown) -> str:
    if agent.continuous:
        return f"{agent.actions} real numbers" if agent.actions > 1 else "1 real number"
    return Factors(sizes=agent.factors).words if agent.factors else str(agent.actions)


def _legal(agent: AgentShown) -> str:
    if agent.legal is None:
        return "all"
    return " ".join(map(str, agent.legal)) if len(agent.legal) <= _FEW else f"{len(agent.legal)} of them"


def _hears(agent: AgentShown) -> str:
    if agent.hears is None:
        return "everyone"
    return ", ".join(agent.hears) or "nobody"
