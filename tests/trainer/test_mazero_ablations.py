"""Every ablation of MAZero's campaign, and what else its paper varies, learns for a few updates."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from combinations import a_few
from tiny_team import SMALL_MAZERO, small_settings, start

from trainer.training.run_folder import RunFolder

CAMPAIGN = tomllib.loads((Path(__file__).parents[2] / "campaigns" / "ablation-mazero.toml").read_text())


def overrides(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from overrides(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def swept() -> Iterator[list[tuple[str, ...]]]:
    """The points of each sweep."""
    for sweep in CAMPAIGN["sweeps"].values():
        axes = [each.partition("=") for each in overrides(sweep["values"])]
        lists = [tomllib.loads(f"values = {text}")["values"] for _, _, text in axes]
        yield [
            tuple(f"{name}={value}" for (name, _, _), value in zip(axes, point, strict=True))
            for point in itertools.product(*lists)
        ]


SWEPT = list(swept())
ABLATIONS = [
    *(tuple(overrides(variant["settings"])) for variant in CAMPAIGN["variants"].values()),
    ("mazero.loss.policy=raw",),
    ("mazero.search.root=halving",),
    ("mazero.search.sampling=progressive",),
    ("mazero.search.reuse=true",),
    ("mazero.targets.reanalyse=0.25",),
    *(points[-1] for points in SWEPT),
]
ALL = list(dict.fromkeys([*ABLATIONS, *itertools.chain(*SWEPT)]))

SHORT = (
    "environment.copies=8",
    "schedule.steps_per_iteration=2",
    "replay.minimum=32",
    "mazero.target_every=2",
    "evaluation.every=100",
)
"""Few searches, which take all the time and as much for many copies as for one: eight steps are an episode and the
beginning of another, and three updates have a target network that is renewed."""


@pytest.mark.slow
@pytest.mark.parametrize("changed", a_few(ALL, *ABLATIONS), ids=" ".join)
def test_an_ablation_learns(tmp_path: Path, changed: tuple[str, ...]) -> None:
    chosen = small_settings("mazero-relay", *SHORT, *changed, env_steps=10_000, small=SMALL_MAZERO)
    start(tmp_path / "run", chosen, stop_after=4).run()
    losses = [record["model/loss"] for record in RunFolder.open(tmp_path / "run").history() if "model/loss" in record]
    assert len(losses) >= 3
    assert all(math.isfinite(loss) for loss in losses)
