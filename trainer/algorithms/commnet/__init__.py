"""CommNet (Sukhbaatar et al. 2016), with IC3Net's gate as an option.  Only the trainer may import it."""

from trainer.algorithms.model_free import CURVES
from trainer.algorithms.registry import AlgorithmEntry

ENTRY = AlgorithmEntry(
    summary="MAPPO whose agents hear the mean of what the others say",
    algorithm="trainer.algorithms.commnet.commnet:CommNet",
    sections={"commnet": "trainer.algorithms.model_free.settings:MessagingSettings"},
    inherits={"mappo": "commnet"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
