"""The robots and how their joints can be shared out, as data: the catalogue and the settings name them before the
simulator is loaded.

Names are those of gymnasium-robotics, except HalfCheetah's `3x2`, which it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTITIONS: dict[str, tuple[str, ...]] = {
    "Ant": ("2x4", "2x4d", "4x2"),
    "HalfCheetah": ("2x3", "3x2", "6x1"),
    "Hopper": ("3x1",),
    "Humanoid": ("9|8",),
    "HumanoidStandup": ("9|8",),
    "Swimmer": ("2x1",),
    "Walker2d": ("2x3",),
}
"""By robot and task; `2x3` is 2 agents with 3 joints each, `9|8` one with 9 and one with 8."""

OWN_PARTITIONS: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("HalfCheetah", "3x2"): (("bfoot", "bshin"), ("bthigh", "ffoot"), ("fshin", "fthigh")),
}
"""Joints of each agent, where the package knows none: the partition of MAMuJoCo's first three-agent results."""


@dataclass(frozen=True, kw_only=True)
class NamedRobot:
    """What the id of an environment stands for."""

    scenario: str
    agent_conf: str
    summary: str


NAMED_ROBOTS: dict[str, NamedRobot] = {
    "halfcheetah-2x3": NamedRobot(
        scenario="HalfCheetah", agent_conf="2x3", summary="run on two legs in the plane, an agent each"
    ),
    "halfcheetah-3x2": NamedRobot(
        scenario="HalfCheetah", agent_conf="3x2", summary="the same with two joints for each of three agents"
    ),
    "halfcheetah-6x1": NamedRobot(
        scenario="HalfCheetah", agent_conf="6x1", summary="the same with an agent for every joint"
    ),
    "walker2d-2x3": NamedRobot(
        scenario="Walker2d", agent_conf="2x3", summary="walk upright in the plane, an agent for each leg"
    ),
    "ant-4x2": NamedRobot(scenario="Ant", agent_conf="4x2", summary="walk on four legs, an agent for each"),
    "humanoid-9-8": NamedRobot(
        scenario="Humanoid", agent_conf="9|8", summary="walk upright, an agent for the upper body and one for the lower"
    ),
    "humanoidstandup-9-8": NamedRobot(
        scenario="HumanoidStandup", agent_conf="9|8", summary="stand up from the ground, with the same two agents"
    ),
}
"""By id, which no shell must take for a pipe."""
