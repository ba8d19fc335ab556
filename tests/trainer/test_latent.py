"""Latents as ids: gathering rows equals multiplying one-hots, and sampling inverts the distribution function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from heliograph.noise import uniform
from trainer.nets.latent import LatentLinear, sample_ids
from trainer.nets.perceptron import FeatureHead

ROWS, CATEGORICALS, CLASSES, DENSE, OUT = 5, 3, 4, 2, 6


def layer_and_inputs() -> tuple[LatentLinear, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = LatentLinear(categoricals=CATEGORICALS, classes=CLASSES, dense=DENSE, out=OUT).double()
    ids = torch.randint(CLASSES, (ROWS, 2, CATEGORICALS))
    dense = torch.randn(ROWS, 2, DENSE, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(ROWS, 2, CATEGORICALS, CLASSES, dtype=torch.float64, requires_grad=True)
    return layer, ids, dense, logits


def dense_product(
    layer: LatentLinear, ids: torch.Tensor, dense: torch.Tensor, probabilities: torch.Tensor
) -> torch.Tensor:
    """The definition: one linear layer over [z, x], with z = one_hot + p - sg(p)."""
    latent = functional.one_hot(ids, CLASSES) + probabilities - probabilities.detach()
    weight = torch.cat([layer.table.t(), layer.dense.weight], dim=1)
    return functional.linear(torch.cat([latent.flatten(-2), dense], dim=-1), weight, layer.dense.bias)


def test_gathering_equals_the_dense_product_and_so_do_all_gradients() -> None:
    layer, ids, dense, logits = layer_and_inputs()
    upstream = torch.randn(ROWS, 2, OUT, dtype=torch.float64)
    results = []
    for compute in (layer.forward, lambda i, x, p: dense_product(layer, i, x, p)):
        output = compute(ids, dense, torch.softmax(logits, dim=-1))
        wanted = (layer.table, layer.dense.weight, layer.dense.bias, dense, logits)
        results.append((output, *torch.autograd.grad((output * upstream).sum(), wanted)))
    for ours, defined in zip(*results, strict=True):
        assert ours.abs().sum() > 0
        torch.testing.assert_close(ours, defined, rtol=1e-12, atol=1e-12)


def test_without_probabilities_no_gradient_reaches_the_latent_and_the_value_is_the_same() -> None:
    layer, ids, dense, logits = layer_and_inputs()
    plain = layer(ids, dense)
    torch.testing.assert_close(plain, layer(ids, dense, torch.softmax(logits, dim=-1)), rtol=0, atol=0)
    table, latent = torch.autograd.grad(plain.sum(), (layer.table, logits), allow_unused=True)
    assert latent is None
    # Every row of the table is used as often as its class was drawn.
    counts = functional.one_hot(ids, CLASSES).sum((0, 1)).flatten().double()
    torch.testing.assert_close(table, counts.unsqueeze(1).expand(-1, OUT))


def test_xavier_initialisation_is_that_of_one_joint_layer() -> None:
    torch.manual_seed(1)
    layer = LatentLinear(categoricals=8, classes=8, dense=16, out=48)
    bound = (6 / (8 * 8 + 16 + 48)) ** 0.5
    for weight in (layer.table, layer.dense.weight):
        assert 0.95 * bound < float(weight.detach().abs().max()) <= bound


def test_orthogonal_heads_are_orthogonal_as_one_layer() -> None:
    head = FeatureHead(categoricals=2, classes=8, dense=8, hidden=16, out=4, activation=torch.nn.ReLU)
    head.orthogonal()
    joint = torch.cat([head.first.table.t(), head.first.dense.weight], dim=1)  # [16, 24]
    torch.testing.assert_close(joint @ joint.t(), torch.eye(16), rtol=0, atol=1e-5)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any), st.integers(0, 2**24 - 1))
def test_sampling_inverts_the_distribution_function(weights: list[int], cell: int) -> None:
    number = cell / 2**24  # everything that a float32 generator over [0, 1) can give
    exact = np.cumsum(np.array(weights, dtype=np.float64)) / sum(weights)
    expected = next(index for index, mass in enumerate(exact) if mass > number)
    probabilities = torch.tensor(weights, dtype=torch.float32) / sum(weights)
    drawn = int(sample_ids(probabilities, torch.tensor(number, dtype=torch.float32)))
    assert weights[drawn] > 0
    # At a boundary, rounding may decide for a neighbour.
    assert drawn == expected or abs(exact[min(drawn, expected)] - number) <= 1e-6


@pytest.mark.parametrize("likely", [0, 2, 4])
@pytest.mark.parametrize("number", [0.0, 2.0**-24, 0.5, 1 - 2.0**-24])
def test_a_class_with_all_mass_is_always_drawn(likely: int, number: float) -> None:
    probabilities = functional.one_hot(torch.tensor(likely), 5).float()
    assert int(sample_ids(probabilities, torch.tensor(number))) == likely


def test_rounding_never_draws_an_impossible_class_at_either_end() -> None:
    probabilities = torch.tensor([0.0, 0.333, 0.333, 0.333, 0.0])  # sums to 0.999, as rounding may leave it
    numbers = torch.tensor([0.0, 1 - 2.0**-24])
    assert sample_ids(probabilities.expand(2, 5), numbers).tolist() == [1, 3]


def test_drawn_frequencies_are_the_probabilities() -> None:
    count = 4000
    numbers = torch.from_numpy(uniform(run_seed=3, slot=0, episode=0, step=0, size=count))
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3])
    share = sample_ids(probabilities.expand(count, 4), numbers).bincount(minlength=4) / count
    assert share[1] == 0
    torch.testing.assert_close(share, probabilities, rtol=0, atol=4 * (0.25 / count) ** 0.5)


def test_one_hots_that_do_not_count_are_zeros_and_all_gradients_are_those_of_the_product() -> None:
    layer, ids, dense, logits = layer_and_inputs()
    upstream = torch.randn(ROWS, 2, OUT, dtype=torch.float64)
    said = (torch.rand(ROWS, 2, CATEGORICALS) < 0.5).double().requires_grad_()

    def gathered(probabilities: torch.Tensor) -> torch.Tensor:
        return layer.gather(ids, probabilities, said) + layer.dense(dense)

    def product(probabilities: torch.Tensor) -> torch.Tensor:
        latent = functional.one_hot(ids, CLASSES) + probabilities - probabilities.detach()
        return (latent * said.unsqueeze(-1)).flatten(-2) @ layer.table + layer.dense(dense)

    results = []
    for compute in (gathered, product):
        output = compute(torch.softmax(logits, dim=-1))
        results.append((output, *torch.autograd.grad((output * upstream).sum(), (layer.table, said, logits))))
    for ours, defined in zip(*results, strict=True):
        assert ours.abs().sum() > 0
        torch.testing.assert_close(ours, defined, rtol=1e-12, atol=1e-12)
