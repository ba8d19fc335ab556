"""MAG (Wu et al. 2023)."""

from trainer.algorithms.mamba import ENTRY as MAMBA
from trainer.algorithms.registry import AlgorithmEntry

ENTRY = AlgorithmEntry(
    summary="MAMBA whose imagination prefers next states from which the model errs least",
    algorithm="trainer.algorithms.mag.mag:Mag",
    sections={**MAMBA.sections, "mag": "trainer.algorithms.mag.settings:MagSettings"},
    compiles=True,
    mixed=True,
    ranks=True,
    curves=MAMBA.curves,
)
