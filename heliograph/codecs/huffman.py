"""Huffman codes, one per categorical, and streams of their words.  For the entropy codec alone.

The codes and the bytes are those of the package constriction (`symbol.huffman` in a `QueueEncoder`), which wrote them
before and has no build for Linux on ARM; `tests/heliograph/test_huffman.py` compares the two.

Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_LOOKED_UP_BITS = 6
"""So many bits of a stream are looked up at once; longer words are followed bit by bit from there."""
_LOOKED_UP = (1 << _LOOKED_UP_BITS) - 1


class HuffmanCode:
    """The code of one categorical by the weights float64 [C], which must be positive.

    The two lightest nodes become one until one is left; of equal weights the node that was there first is lighter, and
    classes were there before all others.  The lighter branch of a node is bit 0.  A stream has a word's bits from the
    root on, the first in the lowest bit.
    """

    def __init__(self, weights: npt.NDArray[np.float64]) -> None:
        classes = len(weights)
        heap = [(weight, class_id) for class_id, weight in enumerate(weights.tolist())]
        heapq.heapify(heap)
        self.classes = classes
        self.branches: list[tuple[int, int]] = []
        """Of the node `classes + i`: where its bits 0 and 1 lead; the last node is the root."""
        while len(heap) > 1:
            light, one = heapq.heappop(heap)
            heavy, other = heapq.heappop(heap)
            heapq.heappush(heap, (light + heavy, classes + len(self.branches)))
            self.branches.append((one, other))
        self.words, self.lengths = self._spelled()
        self.steps = [self._followed(bits) for bits in range(1 << _LOOKED_UP_BITS)]
        """By the next bits of a stream: to which node they lead, and how many of them were taken."""

    def _spelled(self) -> tuple[list[int], list[int]]:
        """The word of each class, its first bit lowest, and how many bits it has."""
        nodes = self.classes + len(self.branches)
        words, lengths = [0] * nodes, [0] * nodes
        for place in reversed(range(len(self.branches))):
            node = self.classes + place
            for bit, below in enumerate(self.branches[place]):
                words[below] = words[node] | bit << lengths[node]
                lengths[below] = lengths[node] + 1
        return words[: self.classes], lengths[: self.classes]

    def _followed(self, bits: int) -> tuple[int, int]:
        """To which node the first bits of a stream lead from the root, and how many of them were taken."""
        node, taken = self.classes + len(self.branches) - 1, 0
        while taken < _LOOKED_UP_BITS and node >= self.classes:
            node = self.branches[node - self.classes][bits >> taken & 1]
            taken += 1
        return node, taken


def write(codes: Sequence[HuffmanCode], ids: Sequence[int]) -> bytes:
    """The words of ids [K] one after another; the last byte is padded with zero bits."""
    stream = place = 0
    for code, class_id in zip(codes, ids, strict=True):
        stream |= code.words[class_id] << place
        place += code.lengths[class_id]
    return stream.to_bytes(-(-place // 8), "little")


def read(codes: Sequence[HuffmanCode], payload: bytes) -> list[int]:
    """Ids [K] that a stream begins with; any bytes are read as some, since behind its end a stream is all zeros."""
    stream, ids = int.from_bytes(payload, "little"), []
    for code in codes:
        node, taken = code.steps[stream & _LOOKED_UP]
        stream >>= taken
        while node >= code.classes:
            node = code.branches[node - code.classes][stream & 1]
            stream >>= 1
        ids.append(node)
    return ids
