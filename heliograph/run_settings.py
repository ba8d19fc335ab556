"""Which settings of a training say what it is, for who has its `settings.json` and no trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CHANGEABLE = (
    *(
        f"schedule.{name}"
        for name in ("env_steps", "minutes", "cpu_minutes", "stop_at_outcome", "must_reach", "usual_env_steps")
    ),
    *(f"evaluation.{name}" for name in ("episodes", "copies", "most_steps", "final_episodes", "sampled", "export")),
    *("checkpoint_minutes", "device", "threads", "compile", "environment.workers"),
)
"""What may be another in a run that goes on: how long it trains, how it is evaluated, what machine it has.  The rest is
what the run is."""
_OF_SEEDS = ("seed", "evaluation", "environment.id", "environment.parameters")
"""What besides may be another in runs of one kind; of their world a task tells more."""
MOST_NAMED = 3
"""Settings in a name of a kind."""


def kind_of_run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """By dotted key, what runs have in common that differ in their seed alone."""
    return dict(_flat(settings, ""))


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if key in CHANGEABLE or key in _OF_SEEDS:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def differing(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that all of them name, and not all of them have alike: an older version may not know them all."""
    named = set.intersection(*map(set, kinds)) if kinds else set()
    return sorted(name for name in named if any(kind[name] != kinds[0][name] for kind in kinds))


def names_of_kinds(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each by what tells it from the others, and the same for the same; "" if there is one kind alone.

    Of one that is empty the settings are not known.
    """
    known = [kind for kind in kinds if kind]
    names = differing(known)
    ends = [name.rpartition(".")[2] for name in names]
    short = [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)]
    found: dict[str, str] = {}  # name by what it stands for
    for kind in known:
        values = [json.dumps(kind[name]) for name in names]
        parts = [f"{name}={value}" for name, value in zip(short, values, strict=True)]
        text = ", ".join(parts[:MOST_NAMED])
        if len(parts) > MOST_NAMED:
            text += f" and {len(parts) - MOST_NAMED} more"
        same = sum(other == text or other.startswith(f"{text} (") for other in found.values())
        found.setdefault(json.dumps(values), f"{text} ({same + 1})" if same else text)
    unknown = "settings unknown" if known and len(known) < len(kinds) else ""
    return [found[json.dumps([json.dumps(kind[name]) for name in names])] if kind else unknown for kind in kinds]
