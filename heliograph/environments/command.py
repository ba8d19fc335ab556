"""`heliograph environments`: the list of known environments, or all about one of them, as text or JSON."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.extras import in_a_checkout

if TYPE_CHECKING:
    from heliograph.environments.listing import DescribedEnvironment
    from heliograph.environments.registry import KnownEnvironment
    from heliograph.environments.vector import EnvironmentSpec

_MOST_COLUMNS = 100
_NOT_INSTALLED = "not installed; install with"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "heliograph environments [-h] [NAME | check NAME] [options]"
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME",
        help="say all about this one, by name or import path; after the word check: run it with random legal actions, "
        "and say of every rule of the interface whether it is kept",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a parameter of the environment",
    )
    parser.add_argument("--episodes", type=int, default=3, help="of check")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode of check")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.settings import merge

    if arguments.words[:1] == ["check"] or len(arguments.words) > 1:
        from heliograph.environments.check_command import run_check

        return run_check(arguments)
    if arguments.words:
        from heliograph.environments.listing import describe
        from heliograph.environments.permission import Permission

        permission = Permission.of_user(arguments.words, arguments.overrides)
        described = describe(arguments.words[0], parameters=merge({}, arguments.overrides), permission=permission)
        _print_json(described) if arguments.json else _print_one(described)
        return 0
    from heliograph.environments.registry import known

    rows = known()
    _print_json(rows) if arguments.json else _print_list(rows)
    return 0


def _print_json(shown: list[KnownEnvironment] | DescribedEnvironment) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(row) for row in shown] if isinstance(shown, list) else asdict(shown), indent=2))


def _print_list(rows: list[KnownEnvironment]) -> None:
    for family, members in groupby(rows, key=lambda row: row.family):
        group = list(members)
        state = "installed" if group[0].installed else _NOT_INSTALLED
        print(f"{family}: {state if group[0].package else 'built in'}")
        if not group[0].installed:
            _print_install(group[0])
        _print_pairs([(row.id, row.summary) for row in group])
    print("\nAll about one: heliograph environments NAME")
    print("Your own: a module with a PettingZoo parallel_env, or package.module:factory")
    print("Whether it keeps what it promises: heliograph environments check NAME")


def _print_install(row: KnownEnvironment) -> None:
    for command in row.install.split(" && "):
        print(f"    {command}")  # never wrapped, so that it can be copied
    if hint := in_a_checkout(row.install):
        print(f"    ({hint})")


def _print_one(described: DescribedEnvironment) -> None:
    import json

    row = described.known
    print(f"{row.id}: {row.summary}\n")
    if described.spec is None:
        print(_NOT_INSTALLED)
        _print_install(row)
    else:
        _print_pairs([*_facts(described.spec), ("reference policies", ", ".join(described.references))])
    if described.parameters is None:
        print("\nIts parameters are those of its own package.")
        return
    print("\nparameters = defaults (and possible values)")
    for parameter in described.parameters:
        default = "nothing" if parameter.default is None else json.dumps(parameter.default)
        _print_pairs([(f"{parameter.name} = {default}", f"({parameter.values})")], hanging=4)
        if parameter.help:
            _print_pairs([("", parameter.help)], hanging=4)


def _facts(spec: EnvironmentSpec) -> list[tuple[str, str]]:
    found = " (best rule found, as measured)" if spec.blind_bound_measured else ""
    bound = [] if spec.blind_bound is None else [("best without messages", f"{spec.blind_bound:.4f}{found}")]
    return [
        ("agents", str(spec.agents)),
        ("observation", f"{spec.observation_size} numbers"),
        ("actions", _actions(spec)),
        ("episode", f"at most {spec.episode_limit} steps"),
        ("outcome", spec.outcome),
        *bound,
        (
            "who receives from whom",
            "everyone from everyone" if spec.complete_graph else "some others, changing with the step",
        ),
        ("global state", f"{spec.state_size} numbers, for the trainer alone" if spec.state_size else "none"),
        ("can be drawn", "yes" if spec.renders else f"no{', ' if spec.cannot_draw else ''}{spec.cannot_draw}"),
    ]


def _actions(spec: EnvironmentSpec) -> str:
    if spec.mixed:
        return "; ".join(f"agent {slot}: {_of_agent(spec, slot)}" for slot in range(spec.agents))
    if not spec.continuous:
        legal = "some illegal at times" if spec.has_action_mask else "all legal always"
        return f"{_joint(spec) or spec.actions}, {legal}"
    fewer = ", some agents have fewer" if spec.has_action_mask else ""
    lowest, highest = (min(min(space.low) for space in spec.continuous), max(max(s.high) for s in spec.continuous))
    return f"{spec.actions} numbers in {lowest:g} .. {highest:g}{fewer}, {spec.continuous[0].bits} bits each"


def _of_agent(spec: EnvironmentSpec, slot: int) -> str:
    """What one agent of a mixed team can do."""
    from heliograph.actions import DiscreteActions
    from heliograph.environments.factors import Factors

    space = spec.action_space(slot)
    if isinstance(space, DiscreteActions):
        return Factors(sizes=spec.factors[slot]).words if spec.factors else f"one of {space.count}"
    own = space.own_size
    return f"{own} numbers in {min(space.low[:own]):g} .. {max(space.high[:own]):g}, {space.bits} bits each"


def _joint(spec: EnvironmentSpec) -> str:
    """What joint actions are made of, once if it is the same for all agents; nothing if there are none."""
    from heliograph.environments.factors import Factors

    words = [Factors(sizes=sizes).words for sizes in spec.factors]
    if len(set(words)) < 2:
        return "".join(words[:1])
    return "; ".join(f"agent {slot}: {each}" for slot, each in enumerate(words))


def _print_pairs(pairs: list[tuple[str, str]], *, hanging: int | None = None) -> None:
    """In two columns, or with lines that go on, and those with nothing on the left, `hanging` columns from the left."""
    import shutil
    import textwrap

    left_width = max(len(left) for left, _ in pairs)
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    for left, right in pairs:
        further = " " * (left_width + 4 if hanging is None else hanging)
        first = f"  {left:{left_width}}  {right}" if left else f"{further}{right}"
        print("\n".join(textwrap.wrap(first, width, subsequent_indent=further)))


COMMAND = Command(
    summary="list the known environments, say all about one: sizes, limits, parameters, or check one",
    configure=_configure,
    run=_run,
)
