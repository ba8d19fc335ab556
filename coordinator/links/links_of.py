"""Makes the links that a plan asks for.  Imported by `coordinator.running.distributed`."""

from __future__ import annotations

from coordinator.links.link_plan import LOOPBACK, LinkPlan
from coordinator.links.links import Links
from coordinator.links.namespaced_links import NamespacedLinks
from coordinator.links.proxied_links import ProxiedLinks


def links_of(plan: LinkPlan | None, *, team_size: int, listen: str) -> Links:
    """An async context manager.  `plan` None: plain links, that nobody counts."""
    if plan is None:
        return Links(team_size=team_size, listen=listen)
    if plan.kind == LOOPBACK:
        return ProxiedLinks(team_size=team_size, listen=listen)
    return NamespacedLinks(plan, team_size=team_size)
