"""The Perceiver: what every agent gathers of all agents' tokens and actions at one step (MARIE §3.2, A.3).

Axis legend: M joint steps, N agents, X tokens of an agent (observation and action), W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.algorithms.marie.model_settings import PerceiverSettings
from trainer.nets.communication import position_code


class Attention(nn.Module):
    """Heads of any width over normalised rows."""

    def __init__(self, *, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        inner = heads * head_width
        self.query = nn.Linear(width, inner)
        self.key_value = nn.Linear(width, 2 * inner)
        self.projection_out = nn.Linear(inner, width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """Queries [M, Q, W] over context [M, X, W] -> [M, Q, W]."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(key),
            self._split(value),
            dropout_p=self.dropout if self.training else 0.0,
        )
        rows: Tensor = self.projection_out(mixed.transpose(1, 2).flatten(2))  # [M, h, Q, w] -> [M, Q, W]
        return rows

    def shares(self, queries: Tensor, context: Tensor) -> Tensor:
        """How queries share out their attention over the context, [M, h, Q, X]."""
        query, key = self._split(self.query(queries)), self._split(self.key_value(context).chunk(2, dim=-1)[0])
        return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)

    def _split(self, rows: Tensor) -> Tensor:
        parts: Tensor = rows.unflatten(-1, (self.heads, -1))
        return parts.transpose(1, 2)


class GatedFeedForward(nn.Module):
    """x + out(a * GELU(b)) for (a, b) = in(norm(x))."""

    def __init__(self, *, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer_in = nn.Linear(width, 8 * width)
        self.layer_out = nn.Linear(4 * width, width)
        self.dropout = dropout

    def forward(self, rows: Tensor) -> Tensor:
        value, gate = self.layer_in(self.norm(rows)).chunk(2, dim=-1)
        found = self.layer_out(value * functional.gelu(gate))
        return rows + (functional.dropout(found, self.dropout, self.training) if self.dropout else found)


class InnerLayer(nn.Module):
    """Self-attention over the agents' aggregates."""

    def __init__(self, *, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width=width, heads=heads, head_width=head_width, dropout=dropout)
        self.feed_forward = GatedFeedForward(width=width, dropout=dropout)

    def forward(self, rows: Tensor) -> Tensor:
        normed = self.norm(rows)
        found: Tensor = self.feed_forward(rows + self.attention(normed, normed))
        return found


class Perceiver(nn.Module):
    """A learned query per agent over everything that happens at a step, then layers over the agents."""

    def __init__(self, settings: PerceiverSettings, *, agents: int, width: int, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(agents, width))
        self.norm_queries, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross = Attention(
            width=width, heads=settings.cross_heads, head_width=settings.cross_width, dropout=dropout
        )
        self.cross_feed_forward = GatedFeedForward(width=width, dropout=dropout)
        self.inner = nn.Sequential(
            *(
                InnerLayer(width=width, heads=settings.inner_heads, head_width=settings.inner_width, dropout=dropout)
                for _ in range(settings.inner_layers)
            )
        )
        self.register_buffer("agent_code", position_code(agents, width).unsqueeze(1), persistent=False)  # [N, 1, W]
        self.agent_code: Tensor

    def shares(self, embedded: Tensor) -> Tensor:
        """How agents' queries share out their attention over all embeddings [M, N, X, W], [M, h, N, N * X]."""
        queries, context = self._read(embedded)
        return self.cross.shares(self.norm_queries(queries), context)

    def forward(self, embedded: Tensor) -> Tensor:
        """Embeddings [M, N, X, W] of what agents see and do -> their aggregates [M, N, W]."""
        queries, context = self._read(embedded)
        rows = self.cross_feed_forward(queries + self.cross(self.norm_queries(queries), context))
        aggregates: Tensor = self.inner(rows)
        return aggregates

    def _read(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Queries [M, N, W], and their context [M, N * X, W], normalised."""
        context: Tensor = self.norm_context((embedded + self.agent_code).flatten(1, 2))
        return self.queries.expand(embedded.shape[0], -1, -1), context
