"""The sizes of a world like SMAC's 3m, for networks that are timed and never play."""

from __future__ import annotations

from heliograph.environments.vector import EnvironmentSpec

AGENTS, OBSERVATION, ACTIONS = 3, 30, 9


def three_marines(agents: int = AGENTS) -> EnvironmentSpec:
    """Or another number of them, who see and do as much each."""
    return EnvironmentSpec(
        id="smac-3m",
        agents=agents,
        observation_size=OBSERVATION,
        actions=ACTIONS,
        episode_limit=100,
        complete_graph=True,
        outcome="won",
        has_action_mask=True,
    )
