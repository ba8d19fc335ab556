"""Reads the golden numbers of MARIE's released code (see tests/golden/marie/README.md), and its tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_comparisons import note
from torch import Tensor, nn

from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.algorithms.marie.tokenizer_settings import CodebookSettings, TokenizerSettings

torch.set_num_threads(1)  # two threads on a small product cost more than they bring

FOLDER = Path(__file__).parents[1] / "golden" / "marie"
FLOAT32_RELATIVE = 1e-5
"""Of the float32 run, besides as much absolutely."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One golden set, in one of the two precisions in which the code was run."""

    dtype: torch.dtype
    dims: dict[str, Any]
    data: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    """Of the run in this precision."""
    exact: dict[str, np.ndarray]
    """Of the float64 run; it alone has gradients."""
    scalars: dict[str, float]
    gradient_norms: dict[str, dict[str, float]]
    """By the loss whose gradient it is, and by weight; of the float64 run."""

    @property
    def tolerance(self) -> float:
        """Absolute and relative."""
        return 1e-9 if self.dtype is torch.float64 else FLOAT32_RELATIVE

    def tensor(self, name: str, where: dict[str, np.ndarray] | None = None) -> Tensor:
        """An array of the inputs, or of another part, in this precision."""
        return torch.from_numpy((self.data if where is None else where)[name]).to(self.dtype)

    def ids(self, name: str, where: dict[str, np.ndarray] | None = None) -> Tensor:
        return torch.from_numpy((self.samples if where is None else where)[name].astype(np.int64))

    def close(self, ours: Tensor, name: str) -> None:
        """Equal to a recorded array, value by value; float32 is held against the float64 run where it has no own."""
        expected = self.outputs.get(name, self.exact.get(name))
        assert expected is not None, name
        np.testing.assert_allclose(
            ours.detach().numpy(),
            expected.reshape(ours.shape),
            rtol=self.tolerance,
            atol=self.tolerance,
            err_msg=name,
        )
        note(name)

    def equal(self, ours: Tensor, name: str) -> None:
        """Equal to recorded indices."""
        assert np.array_equal(ours.numpy(), self.exact[name].reshape(ours.shape)), name
        note(name)

    def close_scalar(self, ours: Tensor | float, name: str) -> None:
        self.close_number(ours, self.scalars[name], name)

    def close_number(self, ours: Tensor | float, expected: float, name: str) -> None:
        """Equal to a recorded number, which is known by a name."""
        value = float(ours.detach() if isinstance(ours, Tensor) else ours)
        np.testing.assert_allclose(value, expected, rtol=self.tolerance, atol=self.tolerance, err_msg=name)
        note(name)

    def perceptron(self, name: str, network: nn.Module) -> None:
        """Put the weights `name.0`, `name.1`, ... into the linear layers of a network, in order."""
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        for index, layer in enumerate(linear):
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(self.weights[f"{name}.{index}.weight"]))
                layer.bias.copy_(torch.from_numpy(self.weights[f"{name}.{index}.bias"]))
        assert f"{name}.{len(linear)}.weight" not in self.weights, name

    def tokenizer(self) -> Tokenizer:
        """As released, with the recorded weights."""
        settings = TokenizerSettings(
            tokens=self.dims["tokens"],
            codebook=CodebookSettings(
                size=self.dims["codebook"],
                width=self.dims["code_dim"],
                initialisation="weights",
                revival="none",
                decay=0.8,
            ),
            reconstruction="absolute",
            clamp="imagined",
        )
        tokenizer = Tokenizer(settings, self.dims["obs"]).to(self.dtype)
        self.perceptron("tok.enc", tokenizer.encoder)
        self.perceptron("tok.dec", tokenizer.decoder)
        assert isinstance(tokenizer.discretiser, Codebook)
        for name, buffer in (
            ("codebook", tokenizer.discretiser.codes),
            ("code_sum", tokenizer.discretiser.sums),
            ("code_count", tokenizer.discretiser.counts),
        ):
            buffer.copy_(torch.from_numpy(self.weights[f"tok.{name}"]))
        return tokenizer


def load_recorded(dtype: torch.dtype, name: str = "dev", folder: Path = FOLDER) -> Recorded:
    data, samples, weights, exact, single = (
        dict(np.load(folder / f"{name}_{part}.npz")) for part in ("data", "samples", "weights", "out64", "out32")
    )
    meta = json.loads((folder / f"{name}_meta.json").read_text())
    double = dtype is torch.float64
    return Recorded(
        dtype=dtype,
        dims=meta["dims"],
        data=data,
        samples=samples,
        weights=weights,
        outputs=exact if double else single,
        exact=exact,
        scalars=meta["scalars_float64" if double else "scalars_float32"],
        gradient_norms=meta["grad_norm_per_weight_float64"],
    )
