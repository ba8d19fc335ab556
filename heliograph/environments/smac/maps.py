"""The battles of SMAC and the teams of SMACv2, as data: the catalogue and the settings need no StarCraft for them.

For `heliograph.environments` and `heliograph doctor`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SmacMap:
    """One battle of SMAC; `limit` is in steps."""

    allies: int
    enemies: int
    limit: int


SMAC_MAPS: dict[str, SmacMap] = {
    "3m": SmacMap(allies=3, enemies=3, limit=60),
    "8m": SmacMap(allies=8, enemies=8, limit=120),
    "25m": SmacMap(allies=25, enemies=25, limit=150),
    "2s3z": SmacMap(allies=5, enemies=5, limit=120),
    "3s5z": SmacMap(allies=8, enemies=8, limit=150),
    "1c3s5z": SmacMap(allies=9, enemies=9, limit=180),
    "MMM": SmacMap(allies=10, enemies=10, limit=150),
    "MMM2": SmacMap(allies=10, enemies=12, limit=180),
    "2m_vs_1z": SmacMap(allies=2, enemies=1, limit=150),
    "2s_vs_1sc": SmacMap(allies=2, enemies=1, limit=300),
    "3s_vs_3z": SmacMap(allies=3, enemies=3, limit=150),
    "3s_vs_4z": SmacMap(allies=3, enemies=4, limit=200),
    "3s_vs_5z": SmacMap(allies=3, enemies=5, limit=250),
    "5m_vs_6m": SmacMap(allies=5, enemies=6, limit=70),
    "8m_vs_9m": SmacMap(allies=8, enemies=9, limit=120),
    "10m_vs_11m": SmacMap(allies=10, enemies=11, limit=150),
    "27m_vs_30m": SmacMap(allies=27, enemies=30, limit=180),
    "3s5z_vs_3s6z": SmacMap(allies=8, enemies=9, limit=170),
    "2c_vs_64zg": SmacMap(allies=2, enemies=64, limit=400),
    "6h_vs_8z": SmacMap(allies=6, enemies=8, limit=150),
    "corridor": SmacMap(allies=6, enemies=24, limit=400),
    "so_many_baneling": SmacMap(allies=7, enemies=32, limit=100),
    "bane_vs_bane": SmacMap(allies=24, enemies=24, limit=200),
}


@dataclass(frozen=True, kw_only=True)
class Race:
    """Which units a team of SMACv2 is drawn from, and how often each."""

    units: tuple[str, str, str]
    weights: tuple[float, float, float]
    never_alone: tuple[str, ...] = ()
    """Units that cannot make up a whole team."""


RACES: dict[str, Race] = {
    "terran": Race(units=("marine", "marauder", "medivac"), weights=(0.45, 0.45, 0.1), never_alone=("medivac",)),
    "protoss": Race(units=("stalker", "zealot", "colossus"), weights=(0.45, 0.45, 0.1)),
    "zerg": Race(units=("zergling", "baneling", "hydralisk"), weights=(0.45, 0.1, 0.45), never_alone=("baneling",)),
}

SMACV2_SIZES: tuple[tuple[int, int], ...] = ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))
"""(units, enemies) of the published tasks."""

SMACV2_MAP_FILE = "32x32_flat"
"""The one map on which all races fight."""
