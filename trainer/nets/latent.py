"""Discrete latents kept as class ids: sampling, straight-through gradients and the first layer over them.

Axis legend: M rows, K categoricals, C classes, D_in width of the dense part of a feature, D_out layer width.

A latent is K one-hot vectors of C classes.  A linear layer over them is the sum of K rows of its weight, so the
layer below gathers rows instead of multiplying by zeros, and nothing of width K * C is kept in replay or in
imagination.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def sample_ids(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Draw class ids [...] from `probabilities` [..., C] with one number in [0, 1) each, by inverting the CDF.

    A class without probability is never drawn.  The same arithmetic runs in the exported step function, so equal
    noise gives equal ids there and here.
    """
    cumulative = torch.cumsum(probabilities, dim=-1)
    # Rounding can leave the last sum off 1; measured against it, no number reaches past the last possible class.
    below = cumulative <= uniform.unsqueeze(-1) * cumulative[..., -1:]
    return below.sum(dim=-1)


class _StraightThrough(torch.autograd.Function):
    """Passes gathered rows on; their gradient also reaches the probabilities, as if z were `one_hot + p - sg(p)`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, probabilities: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(table)
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (table,) = ctx.saved_tensors
        return gradient, gradient @ table.t(), None


class LatentTable(nn.Module):
    """The share `W_z z` of a latent in a linear layer.

    `table` [K * C, D_out] is W_z transposed, so that row k * C + c belongs to class c of categorical k.
    """

    def __init__(self, *, categoricals: int, classes: int, out: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Parameter(torch.empty(categoricals * classes, out))
        self.register_buffer("offsets", torch.arange(categoricals) * classes, persistent=False)
        self.offsets: Tensor

    def reset_with(self, dense: nn.Linear, initialise: Any) -> None:
        """Initialise the joint matrix [D_out, K * C + D_in] as one layer, then split it; the bias stays."""
        width = self.table.shape[0]
        joint = torch.empty(self.table.shape[1], width + dense.in_features)
        initialise(joint)
        with torch.no_grad():
            self.table.copy_(joint[:, :width].t())
            dense.weight.copy_(joint[:, width:])

    def gather(self, ids: Tensor, probabilities: Tensor | None = None, said: Tensor | None = None) -> Tensor:
        """W_z z for ids [..., K] -> [..., D_out]; `probabilities` [..., K, C] receive the straight-through gradient.

        `said` [..., K] is 1 for the one-hot vectors that count and 0 for those that are zeros; it receives a gradient.
        """
        flat = (ids + self.offsets).reshape(-1, ids.shape[-1])
        if torch.compiler.is_exporting():
            # An embedding bag would become a loop over sequences in ONNX; this is one Gather and one sum.
            found = self.table[flat]  # [rows, K, D_out]
            rows = (found if said is None else found * said.reshape(*flat.shape, 1)).sum(1)
        else:
            weights = None if said is None else said.reshape(flat.shape)
            rows = functional.embedding_bag(flat, self.table, mode="sum", per_sample_weights=weights)
        if probabilities is not None:
            if said is not None:
                probabilities = probabilities * said.detach().unsqueeze(-1)
            rows = _StraightThrough.apply(  # type: ignore[no-untyped-call]  # torch gives it no types
                rows, probabilities.reshape(flat.shape[0], -1), self.table.detach()
            )
        gathered: Tensor = rows.reshape(*ids.shape[:-1], -1)
        return gathered


class LatentLinear(LatentTable):
    """Linear layer over the feature [latent one-hots, dense]: `W_z z + W_x x + b`."""

    def __init__(self, *, categoricals: int, classes: int, dense: int, out: int) -> None:
        super().__init__(categoricals=categoricals, classes=classes, out=out)
        self.dense = nn.Linear(dense, out)
        self.reset(nn.init.xavier_uniform_)

    def reset(self, initialise: Any) -> None:
        """Initialise both parts as one layer."""
        self.reset_with(self.dense, initialise)

    def forward(self, ids: Tensor, dense: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """ids [..., K], dense [..., D_in] -> [..., D_out]."""
        rows: Tensor = self.dense(dense)
        return self.gather(ids, probabilities) + rows
