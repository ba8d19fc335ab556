"""MABL (Venugopal et al. 2024)."""

from trainer.algorithms.registry import AlgorithmEntry, Curves

ENTRY = AlgorithmEntry(
    summary="world model on two levels, of which an agent needs the lower one alone; no messages",
    algorithm="trainer.algorithms.mabl.mabl:Mabl",
    sections={"mabl": "trainer.algorithms.mabl.settings:MablSettings"},
    inherits={"mamba": "mabl"},
    compiles=True,
    mixed=True,
    ranks=True,
    curves=Curves(
        label="world-model loss terms",
        metrics=tuple(
            f"model/{term}"
            for term in ("reconstruction", "reward", "kl_agent", "kl_global", "continue", "information", "available")
        ),
    ),
)
