"""What is known of a family of rails before any is laid.

For `heliograph.environments.flatland`; imports no simulator.
"""

from __future__ import annotations

from heliograph.environments.flatland.bottleneck_rules import best_silent
from heliograph.environments.flatland.bottleneck_settings import BottleneckSettings, episode_steps
from heliograph.environments.flatland.settings import FlatlandSettings, step_limit


def most_steps(settings: FlatlandSettings) -> int:
    """Steps of the longest episode, where `step_limit` says nothing."""
    if isinstance(settings, BottleneckSettings):
        return episode_steps(settings)
    return step_limit(settings, cities=2)  # the generator may place fewer than asked for, but at least two


def blind_bound(settings: FlatlandSettings) -> float | None:
    """The best mean share of arrived trains that cannot hear; None where it is not known."""
    found = best_silent(settings) if isinstance(settings, BottleneckSettings) else None
    return None if found is None else found[0]


def has_branches(settings: FlatlandSettings) -> bool:
    """Whether a train may have two ways on; at a bottleneck it can go or stop, and its second action is never legal."""
    return not isinstance(settings, BottleneckSettings)
