"""Scripted teams that fit the relay task, and plans that run them.  For the tests of coordinator and processes."""

from __future__ import annotations

from typing import Any

from scripted_bundle import scripted_team

from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from heliograph.bundle import Bundle
from heliograph.codecs import LatentTables
from heliograph.environments import registry

PATIENT = Pace(action_deadline_s=10, message_deadline_s=3)
"""Where nobody who stands still is waited for: a slow machine misses no deadline, and a wait is plain to see."""
PATIENT_WORDS = ("--action-deadline-s", "10", "--message-deadline-s", "3")
"""The same for a command."""


def relay_bundles(
    agents: int,
    *,
    run_id: str = "scripted-run",
    messages: bool = True,
    tables: LatentTables | None = None,
    training_step: int = 0,
    predicts: str | None = None,
    holds: bool = False,
    **parameters: Any,
) -> list[Bundle]:
    """One scripted bundle per agent of a relay with these parameters."""
    spec = registry.make("relay", count=1, parameters={"agents": agents, **parameters}).spec
    return scripted_team(
        team_size=agents,
        observation_size=spec.observation_size,
        actions=spec.actions,
        environment="relay",
        environment_parameters=spec.parameters,
        messages=messages,
        run_id=run_id,
        tables=tables,
        training_step=training_step,
        predicts=predicts,
        holds=holds,
    )


def relay_plan(agents: int, *, episodes: int = 2, greedy: bool = False, **arguments: Any) -> Plan:
    """A patient plan for such a team; keyword arguments of `Plan` are taken out, the rest are relay parameters."""
    plan_arguments: dict[str, Any] = {"pace": PATIENT} | {
        name: arguments.pop(name)
        for name in ("pace", "conditions", "record", "run_seed", "late_policy", "codec", "channel")
        if name in arguments
    }
    return make_plan(relay_bundles(agents, **arguments), episodes=episodes, greedy=greedy, **plan_arguments)
