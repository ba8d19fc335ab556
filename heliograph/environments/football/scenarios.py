"""The scenarios of the football academy, as data: the catalogue and the settings need no gfootball for them.

Names and numbers are those of gfootball 2.10.2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One exercise; an episode ends with a goal, and in most of them as soon as the ball is lost or out of play."""

    summary: str
    players: int
    """Of the learning team, the keeper among them."""
    limit: int = 400
    """Steps."""


INSTALL = (
    "pip install 'setuptools<70' wheel psutil && pip install --no-build-isolation --no-deps gfootball==2.10.2"
    " && pip install absl-py gymnasium gym==0.26.2 opencv-python-headless"
)
"""Its source package is built so, with the libraries that docs/guides/worlds.md names; no extra could say it."""

SCENARIOS: dict[str, Scenario] = {
    "academy_empty_goal_close": Scenario(players=2, summary="score from close by, nobody in the way"),
    "academy_empty_goal": Scenario(players=2, summary="score from the middle of the pitch, nobody in the way"),
    "academy_run_to_score": Scenario(players=2, summary="score before five pursuers catch up"),
    "academy_run_to_score_with_keeper": Scenario(players=2, summary="the same against a keeper"),
    "academy_pass_and_shoot_with_keeper": Scenario(players=3, summary="pass to the free player, who shoots"),
    "academy_run_pass_and_shoot_with_keeper": Scenario(players=3, summary="run, pass to the free player, who shoots"),
    "academy_3_vs_1_with_keeper": Scenario(players=4, summary="three attackers against a defender and a keeper"),
    "academy_corner": Scenario(players=11, summary="score from a corner kick, eleven against eleven"),
    "academy_counterattack_easy": Scenario(players=11, summary="four attackers against a defender and a keeper"),
    "academy_counterattack_hard": Scenario(players=11, summary="four attackers against two defenders and a keeper"),
    "academy_single_goal_versus_lazy": Scenario(
        players=11, limit=3000, summary="score against opponents who do not move"
    ),
}
"""By gfootball's name."""
