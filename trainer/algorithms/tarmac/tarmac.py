"""TarMAC: agents attend to the messages whose signatures fit what they look for (Das et al. 2019, "TarMAC: targeted
multi-agent communication").

Axis legend: M joint rows, R readers, N senders, K categoricals, C classes, G recurrent size, H width, d width of
signatures.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.messaging_ppo import MessagingPpo
from trainer.algorithms.model_free.reading import Reading
from trainer.algorithms.model_free.settings import MessagingSettings
from trainer.algorithms.tarmac.settings import TarMacSettings
from trainer.nets.latent import LatentTable


class TargetedReading(Reading):
    """c_i = sum over j of softmax_j(q_i k_j / sqrt(d)) v_j, with q_i of the reader's recurrent state (TarMAC §4).

    The first categoricals of a message are the signature k, the others the value v.  An agent attends to its own
    message, too.
    """

    def __init__(self, settings: TarMacSettings) -> None:
        super().__init__()
        self.signature, classes, width = settings.signature, settings.classes, settings.attention
        self.query = nn.Linear(settings.recurrent, width)
        self.key = LatentTable(categoricals=self.signature, classes=classes, out=width)
        self.value = LatentTable(
            categoricals=settings.categoricals - self.signature, classes=classes, out=settings.hidden
        )
        for weight in (self.query.weight, self.key.table, self.value.table):
            nn.init.xavier_uniform_(weight)

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
        split, whole = self.signature, probabilities
        keys = self.key.gather(ids[..., :split], None if whole is None else whole[..., :split, :])  # [M, N, d]
        values = self.value.gather(ids[..., split:], None if whole is None else whole[..., split:, :])  # [M, N, H]
        scores = self.query(deter) @ keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])  # [M, R, N]
        weights = torch.softmax(scores.masked_fill(~(readable | own), -torch.inf), dim=-1)
        heard: Tensor = weights @ (values * sent)
        return heard


class TarMac(MessagingPpo):
    """A `MessagingAlgorithm`."""

    name = "tarmac"

    def reading(self, settings: MessagingSettings, spec: EnvironmentSpec) -> Reading:
        assert isinstance(settings, TarMacSettings)
        return TargetedReading(settings)
