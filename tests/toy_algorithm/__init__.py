"""An algorithm of another distribution: reward-weighted regression of one linear layer, which is enough to be one."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="repeat what was rewarded",
    algorithm="toy_algorithm.regression:Regression",
    sections={"regression": "toy_algorithm.settings:RegressionSettings"},
    curves=Curves(label="regression", metrics=("regression/loss",)),
)
