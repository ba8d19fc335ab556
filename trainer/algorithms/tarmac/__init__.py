"""TarMAC (Das et al. 2019).  Only the trainer may import it."""

from trainer.algorithms.model_free import CURVES
from trainer.algorithms.registry import AlgorithmEntry

ENTRY = AlgorithmEntry(
    summary="MAPPO whose agents attend to the messages that are meant for them",
    algorithm="trainer.algorithms.tarmac.tarmac:TarMac",
    sections={"tarmac": "trainer.algorithms.tarmac.settings:TarMacSettings"},
    inherits={"mappo": "tarmac"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
