"""A gradient step: how far it goes, clipped or not, and what it tells."""

from __future__ import annotations

import pytest
import torch

from heliograph.errors import NonFiniteLoss
from trainer.nets.gradient_steps import gradient_step, summed_gradient_step

STEEP = torch.tensor([3.0, 4.0])
"""A gradient of norm 5."""


class Point(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.zeros(2))


def stepping() -> tuple[Point, torch.optim.Optimizer]:
    """By the gradient itself: what Adam makes of it is the same whatever its size."""
    point = Point()
    return point, torch.optim.SGD(point.parameters(), lr=1.0)


@pytest.mark.parametrize(("clip", "length"), [(10.0, 5.0), (2.0, 2.0), (float("inf"), 5.0)])
def test_a_step_is_no_longer_than_the_clip_and_tells_the_norm_before(clip: float, length: float) -> None:
    point, optimiser = stepping()
    norm = gradient_step("point", point, optimiser, (point.at * STEEP).sum(), clip=clip)
    assert norm == pytest.approx(5.0)
    assert float(point.at.detach().norm()) == pytest.approx(length, rel=1e-5)


def test_losses_are_added_up_before_they_are_clipped_and_none_is_left_for_the_next_step() -> None:
    point, optimiser = stepping()
    for _ in range(2):
        before = point.at.detach().clone()
        losses = ((point.at * part).sum() for part in (STEEP, STEEP, -STEEP))
        norm = summed_gradient_step("point", point, optimiser, losses, clip=2.0)
        assert norm == pytest.approx(5.0)
        assert float((point.at.detach() - before).norm()) == pytest.approx(2.0, rel=1e-5)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    point, optimiser = stepping()
    with pytest.raises(NonFiniteLoss, match="the gradient of the point is inf"):
        gradient_step("point", point, optimiser, (point.at * torch.tensor([1.0, float("inf")])).sum(), clip=1.0)
    assert torch.equal(point.at, torch.zeros(2))
