"""MARIE (Zhang et al. 2024)."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="transformer world model over tokens, whose agents need no messages",
    algorithm="trainer.algorithms.marie.marie:Marie",
    sections={"marie": "trainer.algorithms.marie.settings:MarieSettings"},
    compiles=True,
    mixed=True,
    ranks=True,
    curves=Curves(
        label="loss terms",
        metrics=(
            "tokenizer/reconstruction",
            *(f"model/{term}" for term in ("observation", "reward", "continue", "available")),
        ),
    ),
)
