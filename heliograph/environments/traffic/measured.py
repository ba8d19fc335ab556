"""What cars that hear nobody have reached: the reference policy `silent`, over many episodes.

A car that sees its own cell alone learns nothing on its way that it does not know on arrival, but for a crash, which
is too late: what it does is a function of its route, of the step at which it arrives and of its slot.  On the easy
roads rules were searched, by random ascent over 3,000 episodes, that let cars wait somewhere on their route for a
while, by entry and step of arrival; none was found that beats never to brake.  A car that waits is run into by the
next one on its lane, which is likelier than a car from the side at that very step.  The search was short, and on the
medium roads one found 0.048 on the episodes that it was tuned on: what is told here is a score that was reached, and
not the best there is.

For `heliograph.environments.traffic`.
"""

from __future__ import annotations

from heliograph.environments.traffic.roads import Difficulty
from heliograph.environments.traffic.settings import USUAL, TrafficSettings

MEASURED: dict[Difficulty, float] = {"easy": 0.287, "medium": 0.032, "hard": 0.076}
"""Share of episodes without a crash where nobody brakes, by `heliograph evaluate --reference silent --environment
traffic-junction-easy --episodes 10000 --seed 1`, and so on."""


def best_found(settings: TrafficSettings) -> float | None:
    """The best score found for a team that cannot hear; None where it was not looked for."""
    if settings.vision or settings.traffic != USUAL[settings.difficulty]:
        return None
    return MEASURED[settings.difficulty]
