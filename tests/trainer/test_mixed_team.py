"""A team with discrete and continuous actions, from training to processes that act alone.

The world ends its process at an action that is not of the agent's own kind and space, or is masked, so every step that
is taken shows that it was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from combinations import a_few
from tiny_team import (
    SMALL,
    SMALL_ATTENTION_PPO,
    SMALL_COMMNET,
    SMALL_HAPPO,
    SMALL_MABL,
    SMALL_MAPPO,
    SMALL_MARIE,
    SMALL_MAZERO,
    small_settings,
    start,
)

import heliograph
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.bundle import load_team
from heliograph.errors import SettingsError

pytestmark = pytest.mark.slow

WORLD = "mixed_team:make"
PLANNING = ("mag.candidates=2", "mag.horizon=2", "mag.predictor_updates=1")
SQUARED = "loss.reconstruction_loss=squared"
ALGORITHMS = {
    "mappo": ("mappo-relay", SMALL_MAPPO),
    "happo": ("happo-relay", SMALL_HAPPO),
    "mabl": ("mabl-relay", (*SMALL_MABL, f"mabl.{SQUARED}")),
    "mamba": ("relay", (*SMALL, f"mamba.{SQUARED}")),
    "mag": ("mag-relay", (*SMALL, *PLANNING, f"mamba.{SQUARED}")),
    "marie": ("marie-relay-sighted", SMALL_MARIE),
    "attention-ppo": ("attention-ppo-relay", SMALL_ATTENTION_PPO),
    "commnet": ("commnet-relay", SMALL_COMMNET),
}
CRANE = DiscreteActions(count=5)
BOAT = ContinuousActions(low=(-2.0, 0.0), high=(2.0, 1.0))


# Of each way to learn from such actions one: with messages and a world model, and with networks of one's own.
@pytest.mark.parametrize("algorithm", a_few(ALGORITHMS, "mamba", "happo"))
def test_it_trains_and_runs_as_processes(tmp_path: Path, algorithm: str) -> None:
    preset, small = ALGORITHMS[algorithm]
    chosen = (f'environment.id="{WORLD}"', "environment.parameters={masks = true}")
    training = start(tmp_path / "run", small_settings(preset, *chosen, small=small))
    training.run()
    training.close()
    learned = [record for record in training.folder.history() if "policy/entropy" in record]
    assert learned
    assert all(np.isfinite(record["policy/surrogate"]) for record in learned)
    window = training.replay.sample(np.random.default_rng(0)).window
    crane, boat = window.action.flatten(0, 1).unbind(1)
    assert (crane[:, 1:] == 0).all(), "an agent that chooses gives no vector"
    assert crane[:, 0].unique().numel() > 1
    assert (boat[:, 0] == 0).all(), "an agent that gives a vector makes no choice"
    assert (boat[:, 1:].std(0) > 0).all()
    bundles = load_team(training.folder.bundles)
    assert [bundle.manifest.actions for bundle in bundles] == [CRANE, BOAT]
    talks = bundles[0].manifest.message is not None
    assert [bundle.manifest.team_actions for bundle in bundles] == [(CRANE, BOAT) if talks else None] * 2
    report = heliograph.run(tmp_path / "run", episodes=3, allow_environment=WORLD)
    assert report.summaries[0].episodes == 3
    assert not report.endings
    alone = heliograph.evaluate(tmp_path / "run", episodes=3, allow_environment=WORLD)
    assert alone.summaries[0].outcome == report.summaries[0].outcome


def test_an_algorithm_that_knows_discrete_actions_alone_says_so_when_the_run_is_opened(tmp_path: Path) -> None:
    chosen = (f'environment.id="{WORLD}"', "environment.parameters={}")
    settings = small_settings("mazero-relay", *chosen, small=SMALL_MAZERO)
    with pytest.raises(
        SettingsError, match="mazero knows discrete actions alone, and those of some agents in mixed_team"
    ):
        start(tmp_path / "run", settings)
