"""How often a team said what: the tables that the entropy codec and the choice of the most informative ids go by.

Learned by the trainer, stored in every bundle of a team as `tables.json`.  Axis legend: K categoricals, C classes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heliograph.reading import parse_json

LARGEST_COUNT = 2**32
"""Sums of twice as many over 65536 classes are still exact as a float64."""


@dataclass(frozen=True, eq=False)
class LatentTables:
    """Counts int64 [K, C] of each class of each categorical.  Raises ValueError for what are no counts."""

    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        counts = np.array(self.counts)
        if counts.ndim != 2 or 0 in counts.shape or counts.dtype.kind not in "iu":
            raise ValueError(f"tables are {counts.dtype} of shape {counts.shape}, expected integers [K, C]")
        if int(counts.min()) < 0 or int(counts.max()) > LARGEST_COUNT:
            raise ValueError(f"tables hold a count outside 0..{LARGEST_COUNT}")
        object.__setattr__(self, "counts", counts.astype(np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatentTables) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash(self.sha256)

    @cached_property
    def weights(self) -> npt.NDArray[np.float64]:
        """float64 [K, C]: twice the counts and one, in whole numbers, so that all machines agree on the codes.

        Half an observation is added to every class (Krichevsky & Trofimov 1981): one that was never seen can be said.
        """
        return (2 * self.counts + 1).astype(np.float64)

    @cached_property
    def entropy_bits(self) -> npt.NDArray[np.float64]:
        """float64 [K]: of each categorical, with the smoothed counts as probabilities."""
        probabilities = self.weights / self.weights.sum(axis=1, keepdims=True)
        bits: npt.NDArray[np.float64] = -(probabilities * np.log2(probabilities)).sum(axis=1)
        return bits

    @cached_property
    def most_frequent(self) -> npt.NDArray[np.int32]:
        """int32 [K]: the class that each categorical had most often, the first of several."""
        classes: npt.NDArray[np.int32] = self.counts.argmax(axis=1).astype(np.int32)
        return classes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON, one line per categorical."""
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in self.counts.tolist())
        return f'{{"counts": [\n{rows}\n]}}\n'.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> LatentTables:
        """Raises ValueError unless these are the bytes of tables."""
        document = parse_json(data)
        if not isinstance(document, dict) or document.keys() != {"counts"}:
            raise ValueError("tables are not an object with counts")
        try:
            tables = cls(np.array(document["counts"]))
        except (OverflowError, TypeError) as error:
            raise ValueError(f"tables hold no counts: {error}") from None
        if tables.to_bytes() != data:
            raise ValueError("tables are not in canonical form")
        return tables
