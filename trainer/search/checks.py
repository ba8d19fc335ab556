"""What a search cannot plan with, in one sentence each."""

from __future__ import annotations

from torch import Tensor

from heliograph.errors import TrainingError
from trainer.search.model import Root


def check_root(root: Root) -> None:
    """Raise TrainingError unless every agent of every root has a legal action and all predictions are finite."""
    without = ~root.legal.any(-1)
    if without.any():
        number, agent = without.nonzero()[0].tolist()
        raise TrainingError(
            f"root {number} of a search leaves agent {agent} no legal action",
            remedy="Give each agent one at least, such as doing nothing, also where it is out of the game",
        )
    broken = ~(root.value.isfinite() & root.logits.isfinite().flatten(1).all(1))
    if broken.any():
        raise TrainingError(
            f"the model's value or policy of root {int(broken.nonzero()[0])} of a search is not finite",
            remedy="Look for the update in which the loss left its range, or lower the learning rate",
        )


def check_finite(sums: Tensor) -> None:
    """Raise TrainingError if a model has failed at a root: sums [R, M] of what it gave for each node, not finite."""
    broken = ~sums.isfinite()
    if broken.any():
        number, simulation = broken.nonzero()[0].tolist()
        raise TrainingError(
            f"the model gave a number that is not finite in simulation {simulation} of root {number}",
            remedy="Look for the update in which the loss left its range, or lower the learning rate",
        )
