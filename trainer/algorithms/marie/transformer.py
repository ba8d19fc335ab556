"""The transformer over the blocks of a sequence (MARIE §3.2, A.2): pre-norm layers, whole windows or a cache at a time.

Axis legend: R sequences, S positions, s new ones, W width, h heads, w width of a head.
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
    """[layers, R, S, W]."""
    values: Tensor
    """[layers, R, S, W]."""


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
        return self._rest(rows, self._attended(*self._projected(rows), bias))

    def extend(self, rows: Tensor, keys: Tensor, values: Tensor, *, filled: int) -> Tensor:
        """Rows [R, s, W] of the positions behind `filled` ones, whose `keys` and `values` [R, S, W] are kept.  Their
        own are written there."""
        query, key, value = self._projected(rows)
        end = filled + rows.shape[1]
        keys[:, filled:end], values[:, filled:end] = key, value
        if not filled:
            return self._rest(rows, self._attended(query, key, value, None))
        allowed = _causal(filled, end, rows.device)
        with torch.autocast(rows.device.type, enabled=False):
            mixed = few_attended(query, keys[:, :end], values[:, :end], allowed, heads=self.heads)
        return self._rest(rows, mixed)

    def extend_at(self, rows: Tensor, keys: Tensor, values: Tensor, position: Tensor, allowed: Tensor) -> Tensor:
        """The same of rows at these positions int64 [s], which read those that are `allowed`, bool [s, S]; no shape
        says where they lie."""
        query, key, value = self._projected(rows)
        keys.index_copy_(1, position, key.to(keys.dtype))
        values.index_copy_(1, position, value.to(values.dtype))
        return self._rest(rows, self._attended(query, keys, values, allowed))

    def shares(self, rows: Tensor, bias: Tensor) -> Tensor:
        """How the attention of rows [R, S, W] is shared out, [R, h, S, S]; `bias` as for `forward`."""
        query, key, _ = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self._projected(rows))
        return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias, dim=-1)

    def _projected(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [R, S, W]."""
        query, key, value = self.projection_in(self.norm_attention(rows)).chunk(3, dim=-1)
        return query, key, value

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """Values [R, S, W], mixed as queries ask for."""
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias,
            is_causal=bias is None,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return mixed.transpose(1, 2).flatten(2)  # [R, h, S, w] -> [R, S, W]

    def _rest(self, rows: Tensor, mixed: Tensor) -> Tensor:
        """What follows attention, for what it has mixed [R, S, W]."""
        rows = rows + self._drop(self.projection_out(mixed))
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
        positions, width = self.positions.shape
        shape = (len(self.layers), sequences, positions, width)
        keys, values = (torch.empty(shape, dtype=self.cache_type(), device=self.positions.device) for _ in range(2))
        return Cache(keys=keys, values=values)

    def cache_type(self) -> torch.dtype:
        """Of keys and values that are kept: a CPU reads single precision as fast; where a GPU multiplies with less, it
        reads less, too."""
        halved = self.positions.device.type == "cuda" and torch.is_autocast_enabled("cuda")
        return torch.get_autocast_dtype("cuda") if halved else self.positions.dtype

    def extend(self, embedded: Tensor, cache: Cache, *, filled: int) -> Tensor:
        """Embeddings [R, s, W] of what follows the `filled` positions of a cache, which takes it in -> [R, s, W]."""
        rows = embedded + self.positions[filled : filled + embedded.shape[1]]
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            assert isinstance(layer, TransformerLayer)
            rows = layer.extend(rows, keys, values, filled=filled)
        found: Tensor = self.norm(rows)
        return found

    def extend_at(self, embedded: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        """The last position [R, W] of embeddings [R, s, W] at positions int64 [s], of which `keys` and `values`
        [layers, R, S, W] hold those before and take in these.  Shapes are the same wherever they lie."""
        allowed = torch.arange(keys.shape[2], device=position.device) <= position[:, None]
        rows = embedded + self.positions.index_select(0, position)
        for layer, own_keys, own_values in zip(self.layers, keys, values, strict=True):
            assert isinstance(layer, TransformerLayer)
            rows = layer.extend_at(rows, own_keys, own_values, position, allowed)
        found: Tensor = self.norm(rows[:, -1])
        return found


def few_attended(query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None, *, heads: int) -> Tensor:
    """Attention of few queries [R, s, W] to many keys and values [R, S, W] where `allowed`, bool [s, S].

    Returns [R, s, W] in the precision of keys and values.

    It is bound by memory, and a kernel of attention goes through it head by head.  Here each head's query is as wide as
    a row and zero where other heads lie, so that rows are read whole and one after another, in two products for all
    heads: more is multiplied, in three quarters of the time.
    """
    steps, query = query.shape[1], query.to(keys.dtype)
    own = torch.eye(heads, dtype=query.dtype, device=query.device).mul_((query.shape[-1] // heads) ** -0.5)
    spread = query.unflatten(-1, (heads, -1)).unsqueeze(2) * own.unsqueeze(-1)  # [R, s, 1, h, w] -> [R, s, h, h, w]
    scores = torch.bmm(keys, spread.flatten(3).flatten(1, 2).transpose(1, 2)).transpose(1, 2)  # [R, s * h, S]
    if allowed is not None:
        scores = scores.masked_fill(~allowed.repeat_interleave(heads, dim=0), -torch.inf)
    mixed = torch.bmm(torch.softmax(scores, dim=-1), values)  # [R, s * h, W], of which each head wants its own part
    parts = mixed.unflatten(-1, (heads, -1)).unflatten(1, (steps, heads))  # [R, s, h, h, w]
    found: Tensor = parts.diagonal(dim1=2, dim2=3).transpose(2, 3).flatten(2)
    return found


def _causal(filled: int, end: int, device: torch.device) -> Tensor | None:
    """Which of `end` positions those behind `filled` may read, bool [s, end]; None: the only one reads all."""
    if end - filled == 1:
        return None
    position = torch.arange(end, device=device)
    return position <= position[filled:, None]
