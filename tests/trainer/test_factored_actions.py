"""Teams whose actions are made of several choices, from training to processes that act alone.

The world ends its process at an action that is illegal or not of its own space and type, so every step that is taken
shows that both were right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_team import SMALL, SMALL_MAPPO, small_settings, start

import heliograph
from heliograph.actions import DiscreteActions
from heliograph.bundle import load_team

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("world", "count", "preset", "small"),
    [
        ("factored_team:make", 3 * 2, "relay", (*SMALL, "mamba.loss.reconstruction_loss=squared")),
        ("factored_team:make_tuples", 3 * 2 * 2, "mappo-relay", SMALL_MAPPO),
    ],
    ids=["MultiDiscrete", "Tuple"],
)
def test_they_train_and_run_as_processes(
    tmp_path: Path, world: str, count: int, preset: str, small: tuple[str, ...]
) -> None:
    chosen = (f'environment.id="{world}"', "environment.parameters={}")
    training = start(tmp_path / "run", small_settings(preset, *chosen, env_steps=48, small=small))
    training.run()
    training.close()
    learned = [record for record in training.folder.history() if "policy/entropy" in record]
    assert learned
    assert all(np.isfinite(record["policy/surrogate"]) for record in learned)
    bundles = load_team(training.folder.bundles)
    assert [bundle.manifest.actions for bundle in bundles] == [DiscreteActions(count=count)] * 2
    report = heliograph.run(tmp_path / "run", episodes=3, allow_environment=world)
    assert report.summaries[0].episodes == 3
    assert not report.endings
    alone = heliograph.evaluate(tmp_path / "run", episodes=3, allow_environment=world)
    assert alone.summaries[0].outcome == report.summaries[0].outcome
