"""A run that exports at its evaluations, so that it can be followed, and what that changes of it: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from equal_runs import assert_equal_runs
from tiny_team import Silent, small_settings, start

from heliograph.bundle import load_team

pytestmark = pytest.mark.slow

OVERRIDES = ("schedule.overlap=true", "evaluation.every=3")


class Follower(Silent):
    """Loads the bundles after every evaluation; `steps` are the run's then, and those that the bundles are of."""

    def __init__(self, bundles: Path) -> None:
        super().__init__(stop_after=5)
        self._bundles = bundles
        self.steps: list[tuple[int, int]] = []

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        super().iteration(record, share=share)
        if "evaluate/greedy_outcome" in record:
            self.steps.append((record["env_steps"], load_team(self._bundles)[0].manifest.training_step))


def test_a_followed_run_exports_at_every_evaluation_and_learns_what_it_would_have_learned(tmp_path: Path) -> None:
    alone = start(tmp_path / "alone", small_settings("relay-signal", *OVERRIDES), stop_after=5)
    alone.run()
    alone.close()
    assert not alone.folder.bundles.exists()
    followed = start(tmp_path / "followed", small_settings("relay-signal", *OVERRIDES, "evaluation.export=true"))
    follower = Follower(followed.folder.bundles)
    follower.training, followed.progress = followed, follower
    followed.run()
    followed.close()
    assert follower.steps == [(36, 36)]
    assert_equal_runs(tmp_path / "alone", tmp_path / "followed")
