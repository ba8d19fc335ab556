"""Makes the links that a plan asks for.  Imported by `coordinator.rollout`."""

from __future__ import annotations

from coordinator.bandwidth.layers.link_plan import LOOPBACK, LinkPlan
from coordinator.bandwidth.layers.links import Links
from coordinator.bandwidth.layers.namespaced_links import NamespacedLinks
from coordinator.bandwidth.layers.proxied_links import ProxiedLinks


def links_of(plan: LinkPlan | None, *, team_size: int, listen: str) -> Links:
    """An async context manager.  `plan` None: plain links, that nobody counts."""
    if plan is None:
        return Links(team_size=team_size, listen=listen)
    if plan.kind == LOOPBACK:
        return ProxiedLinks(team_size=team_size, listen=listen)
    return NamespacedLinks(plan, team_size=team_size)
