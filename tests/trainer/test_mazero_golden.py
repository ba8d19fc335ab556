"""MAZero's model and supports equal the released code on recorded weights and data, value by value.

float64: 1e-9; float32: 1e-5, and 1e-3 for decoded scalars.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_comparisons import Comparisons, counted, note
from mazero_reference import MazeroReference, load_mazero_reference
from torch import Tensor
from torch.nn import functional

from trainer.algorithms.mazero.seeing import seen
from trainer.algorithms.mazero.supports import Support, squash, unsquash

comparisons_are_counted = counted(
    {
        "test_the_representation_equals_the_released_code": 5,
        "test_the_predictions_equal_the_released_code": 3,
        "test_a_step_of_the_model_equals_the_released_code": 12,
        "test_the_consistency_equals_the_released_code": 3,
        "test_supports_equal_the_released_code": 6,
        "test_sound_rows_differ_where_the_released_ones_are_empty_alone": 0,
    }
)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def reference(request: pytest.FixtureRequest) -> MazeroReference:
    return load_mazero_reference(request.param)


def decoded(reference: MazeroReference, ours: Tensor, name: str) -> None:
    """Scalars, which the released code decodes in float32."""
    tolerance = 1e-9 if reference.dtype is torch.float64 else 1e-3
    expected = reference.outputs[name]
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance, err_msg=name)
    note(name)


def observed(reference: MazeroReference) -> Tensor:
    return seen(reference.model.settings, reference.tensor(reference.data["net.observation"]))


def test_the_representation_equals_the_released_code(reference: MazeroReference) -> None:
    model, compare, rows = reference.model, reference.compare, observed(reference)
    rows = model.representation.norm(rows)
    compare.arrays(rows, "net.obs_norm")
    for block, layers in enumerate((slice(0, 3), slice(3, 6), slice(6, 9))):
        rows = model.representation.layers[layers](rows)
        compare.arrays(rows, f"net.encoder_block{block}")
    compare.arrays(model.represent(observed(reference)), "net.hidden")


def test_the_predictions_equal_the_released_code(reference: MazeroReference) -> None:
    model, compare = reference.model, reference.compare
    hidden = model.represent(observed(reference))
    compare.arrays(model.value_logits(hidden), "net.value_logits")
    compare.arrays(model.policy_logits(hidden), "net.policy_logits")
    decoded(reference, model.values(hidden), "net.value")


@pytest.mark.slow
def test_a_step_of_the_model_equals_the_released_code(reference: MazeroReference) -> None:
    model, compare = reference.model, reference.compare
    hidden, action = model.represent(observed(reference)), reference.ids(reference.data["net.action"])
    states = torch.cat([hidden, functional.one_hot(action, model.actions).to(hidden.dtype)], dim=-1)
    communication = model.dynamics.communication
    rows = torch.relu(communication.token(states))
    compare.arrays(rows, "net.comm_token")
    rows = rows + communication.block.positions
    for index, layer in enumerate(communication.block.layers):
        rows = layer(rows)
        compare.arrays(rows, f"net.comm_layer{index}")
    compare.arrays(communication(states), "net.comm_out")
    step = model.advance(hidden, action)
    compare.arrays(step.hidden - hidden, "net.dynamics_before_residual")
    compare.arrays(step.hidden, "net.next_hidden")
    compare.arrays(step.reward, "net.reward_logits")
    compare.arrays(model.value_logits(step.hidden), "net.next_value_logits")
    compare.arrays(model.policy_logits(step.hidden), "net.next_policy_logits")
    decoded(reference, model.values(step.hidden), "net.next_value")
    decoded(reference, model.reward_support.decode(step.reward), "net.reward")


def test_the_consistency_equals_the_released_code(reference: MazeroReference) -> None:
    model, compare = reference.model, reference.compare
    hidden = model.represent(observed(reference))
    following = model.advance(hidden, reference.ids(reference.data["net.action"])).hidden
    network = model.consistency
    compare.arrays(network.predictor(network.projection(following.flatten(-2))), "net.prediction_of_next")
    compare.arrays(network.projection(hidden.flatten(-2)), "net.projection_of_hidden")
    compare.arrays(network(following, hidden), "net.consistency")


def test_supports_equal_the_released_code(reference: MazeroReference) -> None:
    if reference.dtype is torch.float32:
        reference = load_mazero_reference(torch.float64)  # scalars are decoded in float64 whatever networks run in
    compare: Comparisons = reference.compare
    grid = reference.tensor(reference.data["support.grid"])
    compare.arrays(squash(grid), "support.scaled")
    for name, support in (("value", reference.model.value_support), ("reward", reference.model.reward_support)):
        rows = support.two_hot(grid, published=True)
        compare.arrays(rows, f"support.{name}_two_hot")
        compare.arrays(support.mean(rows), f"support.{name}_decoded")
    inverse = unsquash(reference.tensor(reference.data["support.inverse_grid"]))
    compare.arrays(torch.where(inverse.abs() < 0.001, 0.0, inverse), "support.inverse")


def test_sound_rows_differ_where_the_released_ones_are_empty_alone() -> None:
    support = Support(low=-5, high=5)
    scalars = torch.cat(
        [torch.linspace(-60, 60, 241, dtype=torch.float64), torch.tensor([0.0, 34.7], dtype=torch.float64)]
    )
    sound, published = support.two_hot(scalars), support.two_hot(scalars, published=True)
    empty = published.sum(-1) == 0
    assert empty.any()
    assert torch.equal(sound[~empty], published[~empty])
    torch.testing.assert_close(sound.sum(-1), torch.ones(len(scalars), dtype=torch.float64))
    held = ~support.beyond(scalars)
    back = support.mean(sound)
    torch.testing.assert_close(back[held], torch.where(scalars.abs() < 0.001, 0.0, scalars)[held], rtol=1e-9, atol=1e-9)
    ends = torch.tensor([support.mean(support.two_hot(torch.tensor(end, dtype=torch.float64))) for end in (-1e4, 1e4)])
    assert ends.tolist() == pytest.approx([-34.59, 34.59], abs=0.01)
