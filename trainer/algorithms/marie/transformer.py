"""The transformer over the blocks of a sequence (MARIE §3.2, A.2): pre-norm layers, whole windows or a cache at a time.

Axis legend: R sequences, S positions, W width, h heads, w width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Cache:
    """What has been read of sequences."""

    keys: Tensor
    """[layers, R, h, w, S]."""
    values: Tensor
    """[layers, R, h, S, w]."""


class TransformerLayer(nn.Module):
    """x = x + attention(norm(x)); x = x + feed_forward(norm(x)), as in GPT-2."""

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention = nn.LayerNorm(width)
        self.projection_in = nn.Linear(width, 3 * width)
        self.projection_out = nn.Linear(width, width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, rows: Tensor, bias: Tensor | None) -> Tensor:
        """Rows [R, S, W]; `bias` [R or 1, 1, S, S] is added to attention scores, None: causal attention."""
        query, key, value = self._projected(rows)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias,
            is_causal=bias is None,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self._rest(rows, mixed)

    def extend(self, rows: Tensor, keys: Tensor, values: Tensor, *, filled: int) -> Tensor:
        """Rows [R, s, W] of the positions behind `filled` ones, whose `keys` [R, h, w, S] and `values` [R, h, S, w] are
        kept.  Their own are written there.

        Few queries over many keys are bound by memory; written out over keys that lie as they are multiplied, they take
        three quarters of what a kernel of attention takes.
        """
        query, key, value = self._projected(rows)
        end = filled + rows.shape[1]
        keys[..., filled:end] = key.transpose(-1, -2)
        values[:, :, filled:end] = value
        scores = (query * query.shape[-1] ** -0.5) @ keys[..., :end]
        allowed = _causal(filled, end, rows.device)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        return self._rest(rows, torch.softmax(scores, dim=-1) @ values[:, :, :end])

    def _projected(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [R, h, S, w]."""
        parts = self.projection_in(self.norm_attention(rows)).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # [R, S, 3, h, w] -> [3, R, h, S, w]
        return query, key, value

    def _rest(self, rows: Tensor, mixed: Tensor) -> Tensor:
        rows = rows + self._drop(self.projection_out(mixed.transpose(1, 2).flatten(2)))  # [R, h, S, w] -> [R, S, W]
        return rows + self._drop(self.feed_forward(self.norm_feed_forward(rows)))

    def _drop(self, rows: Tensor) -> Tensor:
        return functional.dropout(rows, self.dropout, self.training) if self.dropout else rows


class Transformer(nn.Module):
    """Learned positions, layers, and a norm behind the last."""

    def __init__(self, *, width: int, layers: int, heads: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.positions = nn.Parameter(torch.empty(positions, width))
        self.layers = nn.ModuleList(TransformerLayer(width=width, heads=heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Tensor, allowed: Tensor | None) -> Tensor:
        """Embeddings [R, S, W] of the first S positions -> [R, S, W].

        `allowed`, bool [R, S, S], says which position may read which; None: those before it and itself.
        """
        rows = embedded + self.positions[: embedded.shape[1]]
        if self.dropout:
            rows = functional.dropout(rows, self.dropout, self.training)
        bias = None if allowed is None else rows.new_zeros(allowed.shape).masked_fill_(~allowed, -torch.inf)
        for layer in self.layers:
            rows = layer(rows, None if bias is None else bias.unsqueeze(1))
        found: Tensor = self.norm(rows)
        return found

    def cache(self, sequences: int) -> Cache:
        """Room for keys and values of all positions."""
        (positions, width), layers, heads = self.positions.shape, len(self.layers), self.heads
        like = self.positions.detach()
        return Cache(
            keys=like.new_zeros(layers, sequences, heads, width // heads, positions),
            values=like.new_zeros(layers, sequences, heads, positions, width // heads),
        )

    def extend(self, embedded: Tensor, cache: Cache, *, filled: int) -> Tensor:
        """Embeddings [R, s, W] of what follows the `filled` positions of a cache, which takes it in -> [R, s, W]."""
        rows = embedded + self.positions[filled : filled + embedded.shape[1]]
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            assert isinstance(layer, TransformerLayer)
            rows = layer.extend(rows, keys, values, filled=filled)
        found: Tensor = self.norm(rows)
        return found


def _causal(filled: int, end: int, device: torch.device) -> Tensor | None:
    """Which of `end` positions those behind `filled` may read, bool [s, end]; None: the only one reads all."""
    if end - filled == 1:
        return None
    position = torch.arange(end, device=device)
    return position <= position[filled:, None]
