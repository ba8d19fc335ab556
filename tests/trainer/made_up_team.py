"""A team that no environment has, for networks and losses that are looked at alone."""

from __future__ import annotations

from heliograph.environments.vector import EnvironmentSpec

MADE_UP = EnvironmentSpec(
    id="made-up",
    agents=3,
    observation_size=5,
    actions=4,
    episode_limit=9,
    complete_graph=True,
    outcome="won",
    state_size=7,
)
