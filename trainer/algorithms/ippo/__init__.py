"""IPPO: agents that learn by PPO as if each were alone.  Only the trainer may import it."""

from trainer.algorithms.model_free import CURVES
from trainer.algorithms.registry import AlgorithmEntry

ENTRY = AlgorithmEntry(
    summary="MAPPO whose critic sees of every agent what that agent sees, and nothing else",
    algorithm="trainer.algorithms.ippo.ippo:Ippo",
    sections={"ippo": "trainer.algorithms.model_free.settings:MappoSettings"},
    inherits={"mappo": "ippo"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
