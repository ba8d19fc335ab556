"""What `calibration.png` and the learning curve show of what is imagined with the actions that were taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from trainer.algorithms.registry import algorithm_entry
from trainer.training.calibration_plot import REPLAYED, draw_calibration
from trainer.training.curve import draw_curve
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.drawn

LOSS = algorithm_entry("mamba").curves.metrics[0]
RECORD: dict[str, Any] = {
    **{"iteration": 1, "env_steps": 100, LOSS: 1.0, "held_out/reward_r2": 0.1},
    **{"imagination/imagined_return": 1.5, "imagination/real_return": 2.0},
    **{"imagination/imagined_length": 5.0, "imagination/real_length": 6.0},
    **{f"imagination/{kind}_return_{group}": float(group) for kind in ("imagined", "real") for group in range(1, 6)},
}
REPLAYED_TOO = {"imagination/replayed_return": 0.5, "imagination/replayed_length": 4.0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", load_settings("relay", []))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    return figures


def test_calibration_shows_what_is_imagined_with_the_actions_that_were_taken(
    folder: RunFolder, drawn: list[Figure]
) -> None:
    folder.log(RECORD)
    folder.log(RECORD | REPLAYED_TOO | {"iteration": 2, "env_steps": 200})
    draw_calibration(folder)
    without, with_it = drawn[0].axes
    assert [line.get_marker() for line in without.lines[1:]] == ["o"]
    assert [line.get_marker() for line in with_it.lines[1:]] == ["o", "D"]
    (at,) = with_it.lines[2].get_xydata()
    assert at.tolist() == [0.5, 2.0]
    assert REPLAYED in drawn[0].get_suptitle()


def test_a_run_of_before_it_was_measured_is_drawn_without(folder: RunFolder, drawn: list[Figure]) -> None:
    folder.log(RECORD)
    draw_calibration(folder)
    draw_curve(folder)
    assert REPLAYED not in drawn[0].get_suptitle()
    labels = [line.get_label() for axes in drawn[1].axes for line in axes.lines]
    assert "imagined" in labels
    assert not any("real actions" in label for label in labels)


def test_the_learning_curve_shows_both_rollouts_beside_what_came(folder: RunFolder, drawn: list[Figure]) -> None:
    folder.log(RECORD | REPLAYED_TOO)
    draw_curve(folder)
    for label, values in (("return", [2.0, 1.5, 0.5]), ("length", [6.0, 5.0, 4.0])):
        (panel,) = (axes for axes in drawn[0].axes if axes.get_ylabel() == label)
        assert [line.get_ydata()[0] for line in panel.lines] == values
        assert [line.get_label() for line in panel.lines] == ["real", "imagined", "imagined,\nreal actions"]
