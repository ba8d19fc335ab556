"""Entropy and mutual information from samples, in bits, with their bias corrections.  Pure functions of counts.

The plug-in estimate (entropy of the observed frequencies) is too low on average, by about (m - 1) / (2 n ln 2) bits for
n samples of m values; Miller and Madow (1955) add that.  What is left is below zero and of order 1 / n², as long as
all values that exist were seen.  Chao and Shen (2003) also allow for values that were never seen: they scale the
frequencies by the coverage, 1 - (values seen once) / n, and weigh each value by its chance of being seen at all.
Samples count as independent; those of one episode are not, so true errors are larger than n suggests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Entropies = npt.NDArray[np.float64]
Ids = npt.NDArray[np.integer[Any]]


def plug_in(counts: Counts) -> Entropies:
    """float64 [...]: entropies of the frequencies of counts [..., values]; 0 where there are no samples."""
    seen = counts.astype(np.float64)
    total = seen.sum(-1)
    logarithms = np.log2(seen, out=np.zeros_like(seen), where=seen > 0)
    weighted = (seen * logarithms).sum(-1)
    share = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
    # A sum that should be 0 may round to just below.
    bits: Entropies = np.maximum(np.log2(np.maximum(total, 1.0)) - share, 0.0)
    return bits


def correction(counts: Counts) -> Entropies:
    """float64 [...]: what Miller and Madow add to the plug-in entropy of counts [..., values]."""
    seen, total = (counts > 0).sum(-1), counts.sum(-1)
    bits: Entropies = np.maximum(seen - 1, 0) / (2.0 * np.log(2.0) * np.maximum(total, 1))
    return bits


def miller_madow(counts: Counts) -> Entropies:
    """float64 [...]: corrected entropies of counts [..., values], at most those of equal chances for all `values`."""
    bits: Entropies = np.minimum(plug_in(counts) + correction(counts), np.log2(counts.shape[-1]))
    return bits


def coverage(counts: Counts) -> float:
    """Estimated chance (Good 1953) that a further sample is one of the values seen already; counts [values]."""
    total = int(np.sum(counts))
    return 1.0 - int(np.sum(counts == 1)) / total if total else 0.0


def chao_shen(counts: Counts) -> float:
    """Entropy of counts [values], allowing for values that were never seen; meaningless at low coverage."""
    seen = counts[counts > 0].astype(np.float64)
    total = seen.sum()
    if seen.size == 0:
        return 0.0
    # Where every value was seen once the coverage would be 0; as usual one of them counts as seen twice.
    covered = max(coverage(counts), 1.0 / total)
    chance = covered * seen / total
    return float(-(chance * np.log2(chance) / -np.expm1(total * np.log1p(-np.minimum(chance, 1 - 1e-12)))).sum())


def mutual_information(joint: Counts) -> Entropies:
    """float64 [...]: mutual information of joint counts [..., values, values], corrected, at least 0.

    The plug-in estimate is too high on average: the joint entropy needs more correction than the two others.
    """
    flat = joint.reshape(*joint.shape[:-2], -1)
    rows, columns = joint.sum(-1), joint.sum(-2)
    raw = plug_in(rows) + plug_in(columns) - plug_in(flat)
    bits: Entropies = np.maximum(raw + correction(rows) + correction(columns) - correction(flat), 0.0)
    return bits


def joint_counts(first: Ids, second: Ids, *, values: tuple[int, int]) -> Counts:
    """int64 [F, S]: how often each pair of values came together in int arrays of one length."""
    flat = np.bincount(first.astype(np.int64) * values[1] + second, minlength=values[0] * values[1])
    return flat.reshape(values)
