"""An RSSM of each agent's own: agent i reads everyone's messages with its own parameters.

Axis legend: M joint rows, N agents, K categoricals, C classes, G recurrent size, E embedding size, H width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.nets.agentwise import Agentwise, each_its_own
from trainer.policy.distributions import ActionDistribution
from trainer.world_model.settings import LatentSettings


class OwnRSSMs(Agentwise):
    """What `RSSM` offers, for a team without shared parameters; every method takes whole teams."""

    @property
    def settings(self) -> LatentSettings:
        return self.members[0].settings

    @property
    def actions(self) -> ActionDistribution:
        return self.members[0].actions

    def tokens(
        self,
        ids: Tensor,
        action: Tensor,
        keep: Tensor,
        keep_action: Tensor | None = None,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """As each agent reads them: [M, N, N, H], readers first."""
        read = [member.tokens(ids, action, keep, keep_action, probabilities) for member in self.members]
        return torch.stack(read, dim=1)

    def communicate(self, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """Rows [M, N, H] that enter the GRUs, from tokens [M, N, N, H] and `hears` [M, N, N]."""
        rows = [self._row(slot, tokens[:, slot], hears) for slot in range(len(self.members))]
        return torch.stack(rows, dim=1)

    def recur(self, rows: Tensor, deter: Tensor) -> Tensor:
        """GRU step: rows [M, N, H], deter [M, N, G] -> [M, N, G]."""
        return each_its_own([member.recur for member in self.members], rows, deter)

    def prior_logits(self, deter: Tensor) -> Tensor:
        """[..., N, G] -> [..., N, K, C]."""
        return each_its_own([member.prior_logits for member in self.members], deter)

    def posterior_inputs(self, embedding: Tensor) -> Tensor:
        """[..., N, E] -> [..., N, H]."""
        return each_its_own([member.posterior_inputs for member in self.members], embedding)

    def posterior_logits(self, deter: Tensor, posterior_inputs: Tensor) -> Tensor:
        """[..., N, G], [..., N, H] -> [..., N, K, C]."""
        return each_its_own([member.posterior_logits for member in self.members], deter, posterior_inputs)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities [..., K, C]."""
        return self.members[0].probabilities(logits)

    def _row(self, slot: int, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """What agent `slot` makes of tokens [M, N, H]."""
        member = self.members[slot]
        if member.communication is None or member.settings.communication == "central":
            return member.communicate(tokens, hears)[:, slot]
        present = torch.ones_like(tokens[..., 0], dtype=torch.bool) if hears is None else hears[:, slot].clone()
        present[:, slot] = True
        own = torch.full((len(tokens),), slot, device=tokens.device)
        return member.communication.own_row(tokens, present, own)
