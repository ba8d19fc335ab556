"""The battles that SMAX knows, as data: the catalogue and the settings name them before jax is loaded.

A test holds the table to the installed package.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One battle; `summary` says who fights whom."""

    allies: int
    enemies: int
    summary: str


FARTHEST_SIGHT = 10.0
"""Map units that the type of unit which sees farthest sees."""

SCENARIOS: dict[str, Scenario] = {
    "3m": Scenario(allies=3, enemies=3, summary="3 marines against 3"),
    "8m": Scenario(allies=8, enemies=8, summary="8 marines against 8"),
    "25m": Scenario(allies=25, enemies=25, summary="25 marines against 25"),
    "2s3z": Scenario(allies=5, enemies=5, summary="2 stalkers and 3 zealots against as many"),
    "3s5z": Scenario(allies=8, enemies=8, summary="3 stalkers and 5 zealots against as many"),
    "5m_vs_6m": Scenario(allies=5, enemies=6, summary="5 marines against 6"),
    "10m_vs_11m": Scenario(allies=10, enemies=11, summary="10 marines against 11"),
    "27m_vs_30m": Scenario(allies=27, enemies=30, summary="27 marines against 30"),
    "3s5z_vs_3s6z": Scenario(allies=8, enemies=9, summary="3 stalkers and 5 zealots against one zealot more"),
    "3s_vs_5z": Scenario(allies=3, enemies=5, summary="3 stalkers against 5 zealots"),
    "6h_vs_8z": Scenario(allies=6, enemies=8, summary="6 hydralisks against 8 zealots"),
    "smacv2_5_units": Scenario(allies=5, enemies=5, summary="5 units against 5, types and places drawn"),
    "smacv2_10_units": Scenario(allies=10, enemies=10, summary="10 units against 10, types and places drawn"),
    "smacv2_20_units": Scenario(allies=20, enemies=20, summary="20 units against 20, types and places drawn"),
}
