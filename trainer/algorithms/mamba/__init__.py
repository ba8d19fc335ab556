"""MAMBA (Egorov & Shpilman 2022)."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="world model with discrete messages, policy learned in its imagination",
    algorithm="trainer.algorithms.mamba.mamba:Mamba",
    sections={"mamba": "trainer.algorithms.mamba.settings:MambaSettings"},
    compiles=True,
    mixed=True,
    ranks=True,
    curves=Curves(
        label="world-model loss terms",
        metrics=tuple(
            f"model/{term}" for term in ("reconstruction", "reward", "kl", "continue", "information", "available")
        ),
    ),
)
