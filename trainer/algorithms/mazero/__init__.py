"""MAZero: planning with a learned model of the team.  Only the trainer may import it."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="A search in a learned model of the team plans while training; agents act alone, without messages",
    algorithm="trainer.algorithms.mazero.mazero:Mazero",
    sections={"mazero": "trainer.algorithms.mazero.settings:MazeroSettings"},
    continuous=False,
    ranks=True,
    curves=Curves(
        label="losses and entropy",
        metrics=("model/value_loss", "model/reward_loss", "policy/loss", "policy/entropy"),
    ),
)
