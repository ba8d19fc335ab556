"""QMIX and VDN: the value of a team, mixed from values that each agent knows alone.  Only the trainer may import it."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="Q-learning of a team's value that is mixed (VDN: summed) from the agents'; they send nothing",
    algorithm="trainer.algorithms.qmix.qmix:Qmix",
    sections={"qmix": "trainer.algorithms.qmix.settings:QmixSettings"},
    continuous=False,
    ranks=True,
    curves=Curves(label="temporal difference and value", metrics=("value/loss", "value/team")),
)
