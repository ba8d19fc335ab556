"""What a trained world model attends to, as matrices to look at (MARIE appendix C).

Axis legend: B segments, L steps, N agents, K tokens of an observation, R sequences, S positions, h heads, X tokens of
an agent at a step (observation and action), W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.marie.model import MarieModel
from trainer.algorithms.marie.transformer import TransformerLayer


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Shares of attention; each row sums to one."""

    transformer: Tensor
    """[layers, R, h, S, S]: of the position in the row, to that in the column."""
    perceiver: Tensor | None
    """[B, L, h, N, N * X]: of an agent's aggregate, to what all agents see and do; None without aggregation."""
    block: int
    """Positions of a step in a sequence."""

    def to_last_transition(self) -> Tensor:
        """[layers, h]: the share that goes to a position's own step and the one before, where there are earlier ones.

        The paper's first pattern of the transformer: the next observation follows from the last transition.
        """
        own, other = self._steps()
        return self._share((own - other >= 0) & (own - other <= 1), own >= 2)

    def to_same_place(self) -> Tensor:
        """[layers, h]: the share that goes to the same place in earlier steps than the one before.

        The paper's second pattern: stripes, where a token follows those of the same dimension of several observations.
        """
        own, other = self._steps()
        place = torch.arange(self.transformer.shape[-1], device=self.transformer.device)
        same = (place[:, None] - place) % self.block == 0
        return self._share(same & (own - other >= 2), own >= 2)

    def differences(self) -> Tensor | None:
        """[h]: half the absolute difference between what two agents of a team attend to in the Perceiver, the mean over
        pairs and steps: 0 where they agree (commonality), 1 where they share nothing (individuality)."""
        if self.perceiver is None:
            return None
        agents = self.perceiver.shape[3]
        pairs = torch.triu_indices(agents, agents, offset=1)
        first, second = (self.perceiver[:, :, :, each] for each in pairs)
        return 0.5 * (first - second).abs().sum(-1).mean((0, 1, 3))

    def _steps(self) -> tuple[Tensor, Tensor]:
        """The step of each position, as a column and as a row."""
        step = torch.arange(self.transformer.shape[-1], device=self.transformer.device) // self.block
        return step[:, None], step[None]

    def _share(self, columns: Tensor, rows: Tensor) -> Tensor:
        """What of the attention of some rows, bool [S, 1], falls on columns, bool [S, S]; not known without rows."""
        falls = (self.transformer * columns).sum(-1)[..., rows[:, 0]]  # [layers, R, h, rows]
        return falls.mean((1, 3))


@torch.no_grad()
def attention_maps(model: MarieModel, ids: Tensor, action: Tensor, cut: Tensor) -> AttentionMaps:
    """Of segments with tokens int64 [B, L, N, K], actions [B, L, N, ...] and ends of episodes, bool [B, L]."""
    embedded = model.embedded(ids, action)
    allowed = model.allowed(cut)
    length = embedded.shape[1]
    if allowed is None:
        allowed = torch.ones(1, length, length, dtype=torch.bool, device=embedded.device).tril()
    bias = embedded.new_zeros(allowed.shape).masked_fill_(~allowed, -torch.inf).unsqueeze(1)
    rows, maps = embedded + model.transformer.positions[:length], []
    for layer in model.transformer.layers:
        assert isinstance(layer, TransformerLayer)
        maps.append(layer.shares(rows, bias))
        rows = layer(rows, bias)
    perceiver = None
    if model.perceiver is not None:
        both = torch.cat([model.token_table(ids), model.action_rows(action)], dim=3)
        perceiver = model.perceiver.shares(both.flatten(0, 1)).unflatten(0, ids.shape[:2])
    return AttentionMaps(transformer=torch.stack(maps), perceiver=perceiver, block=model.block)
