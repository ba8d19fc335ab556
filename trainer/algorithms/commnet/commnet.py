"""CommNet: agents hear the mean of what the others say (Sukhbaatar et al. 2016, "Learning multiagent communication
with backpropagation").

Axis legend: M joint rows, R readers, N senders, K categoricals, C classes, G recurrent size, H width.
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.messaging_ppo import MessagingPpo
from trainer.algorithms.model_free.reading import Reading
from trainer.algorithms.model_free.settings import MessagingSettings
from trainer.nets.latent import LatentTable


class MeanReading(Reading):
    """c_i = the mean of C z_j over the others j that i has received from (CommNet §3.1); 0 if there are none.

    A message that says nothing counts as 0 among the others, as in IC3Net.
    """

    def __init__(self, settings: MessagingSettings) -> None:
        super().__init__()
        self.table = LatentTable(categoricals=settings.categoricals, classes=settings.classes, out=settings.hidden)
        nn.init.xavier_uniform_(self.table.table)

    # Six parameters: see `Reading`.
    def forward(
        self,
        ids: Tensor,
        deter: Tensor,
        *,
        readable: Tensor,
        own: Tensor,
        sent: Tensor,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        rows = self.table.gather(ids, probabilities) * sent  # [M, N, H]
        heard = readable.to(rows.dtype)
        mean: Tensor = (heard @ rows) / heard.sum(-1, keepdim=True).clamp(min=1)
        return mean


class CommNet(MessagingPpo):
    """A `MessagingAlgorithm`."""

    name = "commnet"

    def reading(self, settings: MessagingSettings, spec: EnvironmentSpec) -> Reading:
        return MeanReading(settings)
