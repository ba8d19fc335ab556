"""An RSSM of each agent's own: agent i reads everyone's messages with its own parameters.

Axis legend: M joint rows, N agents, K categoricals, C classes, G recurrent size, E embedding size, H width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainer.nets.agentwise import Agentwise, each_its_own
from trainer.world_model.message_predictor import DrawIds
from trainer.world_model.rssm import RSSM, TeamRSSM


class OwnRSSMs(Agentwise[RSSM], TeamRSSM):
    """For a team without shared parameters; every method takes whole teams."""

    def __init__(self, make: Callable[[], RSSM], *, agents: int) -> None:
        super().__init__(make, agents=agents)
        self.sizes, self.actions = self.each[0].sizes, self.each[0].actions

    def tokens(
        self,
        ids: Tensor,
        action: Tensor,
        keep: Tensor,
        keep_action: Tensor | None = None,
        probabilities: Tensor | None = None,
        said: Tensor | None = None,
    ) -> Tensor:
        """As each agent reads them: [M, N, N, H], readers first."""
        read = [member.tokens(ids, action, keep, keep_action, probabilities, said) for member in self.each]
        return torch.stack(read, dim=1)

    def as_read(self, tokens: Tensor) -> Tensor:
        """[M, N, N, H], as they are."""
        return tokens

    def held_tokens(self, ids: Tensor, action: Tensor, keep: Tensor) -> Tensor:
        """Tokens [M, N, N, H] of ids [M, N, N, K] and actions [M, N, N, ...] that each agent holds of each."""
        read = [
            member.tokens(ids[:, slot], action[:, slot], keep[:, slot, None]) for slot, member in enumerate(self.each)
        ]
        return torch.stack(read, dim=1)

    @property
    def filling_noise(self) -> int:
        return self.each[0].filling_noise

    def predicted_logits(self, ids: Tensor, action: Tensor, age: Tensor, sender: Tensor, deter: Tensor) -> Tensor:
        """See TeamRSSM."""
        rows: Tensor = each_its_own([member.predicted_logits for member in self.each], ids, action, age, sender, deter)
        return rows

    def with_predicted(
        self, tokens: Tensor, ids: Tensor, action: Tensor, age: Tensor, deter: Tensor, draw_ids: DrawIds
    ) -> Tensor:
        """See TeamRSSM."""
        if self.each[0].predictor is None:
            return tokens
        members = enumerate(self.each)
        rows = [
            member.with_predicted(tokens[:, i], ids[:, i], action[:, i], age[:, i], deter[:, i], draw_ids)
            for i, member in members
        ]
        return torch.stack(rows, dim=1)

    def communicate(self, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """Rows [M, N, H] that enter the GRUs, from tokens [M, N, N, H] and `hears` [M, N, N]."""
        rows = [self._row(slot, tokens[:, slot], hears) for slot in range(len(self.each))]
        return torch.stack(rows, dim=1)

    def recur(self, rows: Tensor, deter: Tensor) -> Tensor:
        """GRU step: rows [M, N, H], deter [M, N, G] -> [M, N, G]."""
        following: Tensor = each_its_own([member.recur for member in self.each], rows, deter)
        return following

    def prior_logits(self, deter: Tensor) -> Tensor:
        """[..., N, G] -> [..., N, K, C]."""
        rows: Tensor = each_its_own([member.prior_logits for member in self.each], deter)
        return rows

    def posterior_inputs(self, embedding: Tensor) -> Tensor:
        """[..., N, E] -> [..., N, H]."""
        rows: Tensor = each_its_own([member.posterior_inputs for member in self.each], embedding)
        return rows

    def posterior_logits(self, deter: Tensor, posterior_inputs: Tensor) -> Tensor:
        """[..., N, G], [..., N, H] -> [..., N, K, C]."""
        rows: Tensor = each_its_own([member.posterior_logits for member in self.each], deter, posterior_inputs)
        return rows

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities [..., K, C]."""
        return self.each[0].probabilities(logits)

    def _row(self, slot: int, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """What agent `slot` makes of tokens [M, N, H]."""
        member = self.each[slot]
        if member.communication is None or member.communication.reach == "central":
            return member.communicate(tokens, hears)[:, slot]
        present = torch.ones_like(tokens[..., 0], dtype=torch.bool) if hears is None else hears[:, slot].clone()
        if member.communication.reach == "none":
            present = torch.zeros_like(present)
        present[:, slot] = True
        own = torch.full((len(tokens),), slot, device=tokens.device)
        return member.communication.own_row(tokens, present, own)


def own_rssm(rssm: TeamRSSM, slot: int) -> RSSM:
    """The one that agent `slot` runs."""
    found = rssm.each[slot] if isinstance(rssm, OwnRSSMs) else rssm
    assert isinstance(found, RSSM)
    return found
