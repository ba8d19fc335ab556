"""Families of presets for every simulator, shrunken, from the first step to the exported bundles; presets that are
no members of a family are in test_train_command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_team import resume, small_settings, start

from heliograph.bundle import load_team
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

SMAC_DOUBLE = Path(__file__).parents[1] / "heliograph" / "smac_double"
LITTLE = ("environment.copies=2", "evaluation.episodes=2", "evaluation.final_episodes=2", "evaluation.sampled=true")
RAILWAY = "environment.parameters={agents=2, width=26, height=26, cities=2, step_limit=12}"


@pytest.mark.parametrize(
    ("preset", "package", "overrides"),
    [
        ("mamba-flatland-5", "flatland", (RAILWAY, "schedule.overlap=true")),
        # At a landing test_train_command trains code-flatland, whose world and settings these are.
        pytest.param("mamba-flatland-5-code", "flatland", (RAILWAY,), marks=pytest.mark.nightly),
        ("mamba-smax-3m", "jaxmarl", ()),
        ("mamba-smac-3m", "heliograph", ()),
    ],
)
def test_a_shrunken_run_in_each_simulator_goes_from_collecting_to_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, package: str, overrides: tuple[str, ...]
) -> None:
    pytest.importorskip(package)
    if "smac-" in preset:
        monkeypatch.syspath_prepend(SMAC_DOUBLE)
        monkeypatch.setenv("SMAC_DOUBLE", "{}")
    settings = small_settings(preset, *LITTLE, *overrides, env_steps=60)
    path = tmp_path / "run"
    # On resuming, the running episodes are played again; SMAX would be compiled again for that.
    if package == "jaxmarl":
        training = start(path, settings)
    else:
        first = start(path, settings, stop_after=4)
        first.run()
        first.close()
        training = resume(path)
    summary = training.run()
    training.close()
    assert (summary.reason, summary.env_steps, summary.lost_episodes) == ("steps", 60, 0)
    assert summary.evaluation is not None
    assert np.isfinite(summary.evaluation.outcome).all()
    folder = RunFolder.open(path)
    records = folder.history()
    assert [record["iteration"] for record in records] == list(range(1, 11))
    for name in ("model/reconstruction", "policy/entropy", "evaluate/greedy_outcome", "evaluate/sampled_outcome"):
        assert any(name in record for record in records), name
    bundles = load_team(folder.bundles)
    assert [bundle.manifest.environment for bundle in bundles] == [settings.environment.id] * len(bundles)
    assert len(bundles) == training.environment.spec.agents
