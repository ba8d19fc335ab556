"""What a transformer has read of sequences that grow: a memory in which each next read sees what there is, and one
whose shapes never change, for a compiler and for graphs of a GPU.  For `imagination` alone.

Axis legend: R sequences, S positions, s new ones, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from trainer.algorithms.marie.transformer import Transformer


class Memory(Protocol):
    """Of R sequences."""

    def read(self, embedded: Tensor, *, filled: int) -> Tensor:
        """Take in embeddings [R, s, W] behind the first `filled` positions; their last hidden position [R, W]."""
        ...


MakeMemory = Callable[[int], Memory]
"""Of so many sequences."""


class GrowingMemory:
    """Reads what is filled and no more: the least work, and other shapes at every position."""

    def __init__(self, transformer: Transformer, sequences: int) -> None:
        self._transformer, self._cache = transformer, transformer.cache(sequences)

    def read(self, embedded: Tensor, *, filled: int) -> Tensor:
        return self._transformer.extend(embedded, self._cache, filled=filled)[:, -1]


class CompiledMemories:
    """Reads all positions that there are, of which a mask leaves what is filled, so that a read of s positions is one
    compiled function wherever they lie.  Memories of as many sequences share their tensors, which graphs of a GPU find
    where they were; so one is done with before the next begins."""

    def __init__(self, transformer: Transformer, *, mode: str) -> None:
        """`mode` is torch.compile's."""
        self._transformer = transformer
        self._extend = torch.compile(transformer.extend_at, dynamic=False, mode=mode)
        self._kept: dict[tuple[int, torch.dtype], CompiledMemory] = {}

    def __call__(self, sequences: int) -> CompiledMemory:
        cache = self._transformer.cache_type()
        key = (sequences, cache)
        if key not in self._kept:
            self._kept[key] = CompiledMemory(self._transformer, sequences, self._extend)
        return self._kept[key]


class CompiledMemory:
    """See `CompiledMemories`."""

    def __init__(
        self, transformer: Transformer, sequences: int, extend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    ) -> None:
        cache = transformer.cache(sequences)
        # What is not filled yet is multiplied by 0, which not every number survives.
        self._keys, self._values = cache.keys.zero_(), cache.values.zero_()
        for tensor in (self._keys, self._values):
            torch._dynamo.mark_static_address(tensor)
        self._position = torch.arange(len(transformer.positions), device=self._keys.device)
        self._extend = extend

    def read(self, embedded: Tensor, *, filled: int) -> Tensor:
        position = self._position[filled : filled + embedded.shape[1]].clone()
        # A graph's next run writes over what this one gives back.
        return self._extend(embedded, self._keys, self._values, position).clone()
