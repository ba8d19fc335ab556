"""The communication block: attention over the agents' tokens (MAMBA §3.2, "Transition function").

Axis legend: M joint rows, N agents (or tokens), H width, Q query rows.

Post-norm transformer encoder layers over the tokens of one team, to which a fixed sinusoidal code of the agent's
slot is added.  Four ways to restrict who reads whom:

- complete graph: everyone attends to everyone, all rows come from one pass;
- ego sets (the runtime's semantics): agent i computes all layers over the tokens of {i} and its neighbours and
  keeps its own row, so a message travels one hop;
- central mask (published execution): one pass whose attention is masked in every layer, so information travels
  as many hops as there are layers;
- nobody: every agent computes all layers over its own token alone, whatever the neighbour sets are.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.nets.perceptron import perceptron


def position_code(positions: int, width: int) -> Tensor:
    """Sinusoidal codes [positions, width]: sines in the even columns, cosines in the odd ones."""
    position = torch.arange(positions, dtype=torch.float32).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    code = torch.zeros(positions, width)
    code[:, 0::2] = torch.sin(position * frequency)
    code[:, 1::2] = torch.cos(position * frequency)[:, : width // 2]
    return code


Reach = Literal["ego", "central", "none"]
FEW = 5
"""Tokens up to which attention is faster without matrix products."""


def attention_of_few(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention among all tokens [M, N, heads, H/heads], by products of elements and sums."""
    scores = (query.unsqueeze(2) * key.unsqueeze(1)).sum(-1).div_(math.sqrt(query.shape[-1]))  # [M, N, N, heads]
    weights = (scores - scores.amax(2, keepdim=True)).exp_()
    weights = weights / weights.sum(2, keepdim=True)
    return (weights.unsqueeze(-1) * value.unsqueeze(1)).sum(2)


class EncoderLayer(nn.Module):
    """Post-norm encoder layer: x = norm(x + attention(x)); x = norm(x + feed_forward(x))."""

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.projection_in = nn.Linear(width, 3 * width)
        self.projection_out = nn.Linear(width, width)
        self.feed_forward = perceptron([width, width, width], nn.ReLU)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        nn.init.xavier_uniform_(self.projection_in.weight)
        nn.init.xavier_uniform_(self.projection_out.weight)

    def forward(self, tokens: Tensor, allowed: Tensor | None = None, own: Tensor | None = None) -> Tensor:
        """tokens [M, N, H] -> [M, N, H], or [M, 1, H] if `own` [M, 1, H] (a row of tokens) is the only query.

        `allowed`, bool, broadcastable to [M, Q, N], is true where a query may read a token.
        """
        width = tokens.shape[-1]
        if own is None:
            queries = tokens
            query, key, value = self.projection_in(tokens).chunk(3, dim=-1)
        else:
            queries = own
            query = functional.linear(own, self.projection_in.weight[:width], self.projection_in.bias[:width])
            key_value = functional.linear(tokens, self.projection_in.weight[width:], self.projection_in.bias[width:])
            key, value = key_value.chunk(2, dim=-1)
        if own is None and allowed is None and self._few(tokens):
            mixed = attention_of_few(*(self._heads(rows) for rows in (query, key, value))).flatten(2)
        else:
            mixed = self._attended(query, key, value, allowed)
        hidden = self.norm_attention(queries + self._drop(self.projection_out(mixed)))
        first, activation, second = self.feed_forward
        inner = second(self._drop(activation(first(hidden))))
        rows: Tensor = self.norm_feed_forward(hidden + self._drop(inner))
        return rows

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        width = query.shape[-1]
        scores = self._split(query) @ self._split(key).transpose(-1, -2) / math.sqrt(width / self.heads)
        if allowed is not None:
            scores = scores.masked_fill(~allowed.unsqueeze(1), -torch.inf)
        weights = self._drop(torch.softmax(scores, dim=-1))
        mixed: Tensor = (weights @ self._split(value)).transpose(1, 2).flatten(2)
        return mixed  # [M, heads, Q, H/heads] -> [M, Q, H]

    def _few(self, tokens: Tensor) -> bool:
        """Whether there is a faster way: in inference on a CPU, which makes very small matrix products one by one."""
        inference = not (torch.is_grad_enabled() or torch.compiler.is_compiling() or (self.training and self.dropout))
        return inference and tokens.device.type == "cpu" and tokens.shape[1] <= FEW

    def _heads(self, rows: Tensor) -> Tensor:
        parts: Tensor = rows.unflatten(-1, (self.heads, -1))
        return parts  # [M, N, H] -> [M, N, heads, H/heads]

    def _split(self, rows: Tensor) -> Tensor:
        return self._heads(rows).transpose(1, 2)  # [M, N, H] -> [M, heads, N, H/heads]

    def _drop(self, rows: Tensor) -> Tensor:
        return functional.dropout(rows, self.dropout, self.training) if self.dropout else rows


class CommunicationBlock(nn.Module):
    """Positional code and `layers` encoder layers over the tokens of one team."""

    # Seven parameters: the sizes of a network, each by its name.
    def __init__(
        self,
        *,
        agents: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        position_scale: float = 1.0,
        reach: Reach = "ego",
    ) -> None:
        super().__init__()
        self.reach = reach
        self.layers = nn.ModuleList(EncoderLayer(width=width, heads=heads, dropout=dropout) for _ in range(layers))
        self.register_buffer("positions", position_scale * position_code(agents, width), persistent=False)
        self.positions: Tensor

    def forward(self, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """Tokens [M, N, H] and neighbour sets bool [M, N, N], None on a complete graph -> rows [M, N, H]."""
        if self.reach == "none":
            return self.alone(tokens)
        if hears is None:
            return self.complete(tokens)
        return self.central(tokens, hears) if self.reach == "central" else self.ego(tokens, hears)

    def complete(self, tokens: Tensor) -> Tensor:
        """Everyone reads everyone: tokens [M, N, H] -> rows [M, N, H]."""
        rows = tokens + self.positions
        for layer in self.layers:
            rows = layer(rows)
        return rows

    def alone(self, tokens: Tensor, slot: Tensor | None = None) -> Tensor:
        """Nobody reads anybody: tokens [M, N, H] -> rows [M, N, H]; or, with `slot` [1], [M, 1, H] of that agent."""
        rows = tokens + (self.positions if slot is None else self.positions[slot])
        each = rows.reshape(-1, 1, rows.shape[-1])  # [M*N, 1, H]
        for layer in self.layers:
            each = layer(each)
        return each.reshape(rows.shape)

    def central(self, tokens: Tensor, hears: Tensor) -> Tensor:
        """One pass masked in every layer: tokens [M, N, H], hears [M, N, N] -> rows [M, N, H]."""
        allowed = hears | torch.eye(hears.shape[-1], dtype=torch.bool, device=hears.device)
        rows = tokens + self.positions
        for layer in self.layers:
            rows = layer(rows, allowed)
        return rows

    def ego(self, tokens: Tensor, hears: Tensor) -> Tensor:
        """Every agent over its own ego set: tokens [M, N, H], or [M, N, N, H] as each agent (first N) holds them, hears
        [M, N, N] -> rows [M, N, H]."""
        count, agents, width = len(tokens), *tokens.shape[-2:]
        present = hears | torch.eye(agents, dtype=torch.bool, device=hears.device)
        if tokens.dim() == 3:
            tokens = tokens.unsqueeze(1).expand(-1, agents, -1, -1)
        rows = tokens.reshape(-1, agents, width)  # [M*N, N, H]
        own = torch.arange(agents, device=tokens.device).repeat(count)
        return self.own_row(rows, present.reshape(-1, agents), own).reshape(count, agents, width)

    def own_row(self, tokens: Tensor, present: Tensor, own: Tensor) -> Tensor:
        """Row of slot `own` [M] over the tokens [M, N, H] that are `present` [M, N] -> [M, H].

        This is what an agent node computes: all present tokens attend to one another, one row is kept.
        """
        allowed = present.unsqueeze(1)  # [M, 1, N]
        rows = tokens + self.positions
        for layer in self.layers[:-1]:
            rows = layer(rows, allowed)
        index = own.reshape(-1, 1, 1).expand(-1, 1, rows.shape[-1])
        row: Tensor = self.layers[-1](rows, allowed, own=rows.gather(1, index))
        return row.squeeze(1)
