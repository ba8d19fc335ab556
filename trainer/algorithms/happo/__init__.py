"""HAPPO: agents with networks of their own that learn one after another.  Only the trainer may import it."""

from trainer.algorithms.model_free import CURVES
from trainer.algorithms.registry import AlgorithmEntry

ENTRY = AlgorithmEntry(
    summary="MAPPO whose agents share no network and learn in turn, each knowing how those before it have changed",
    algorithm="trainer.algorithms.happo.happo:Happo",
    sections={"happo": "trainer.algorithms.model_free.settings:MappoSettings"},
    inherits={"mappo": "happo"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
