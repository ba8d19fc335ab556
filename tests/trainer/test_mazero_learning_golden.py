"""MAZero's replay, targets, losses, gradients and step equal the released code, through the class that trains.

float64: 1e-9; float32: 1e-5, and 1e-3 for what has passed through the decoding of scalars.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from mazero_recorded import recorded_batch, recorded_mazero, recorded_replay
from mazero_reference import RecordedSearch, load_mazero_reference, recorded_places
from torch import Tensor

from trainer.algorithms.mazero.loss import MazeroLoss, Unrolled, policy_weights
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.planning import PlanningModel
from trainer.algorithms.mazero.targets import Targets
from trainer.algorithms.mazero.windows import Steps, steps_of
from trainer.search.search import Search

comparisons_are_counted = counted(
    {
        "test_the_batch_equals_the_released_code": 4,
        "test_searching_anew_equals_the_released_code": 9,
        "test_targets_equal_the_released_code": 11,
        "test_the_unrolled_model_equals_the_released_code": 5,
        "test_every_loss_term_equals_the_released_code": 13,
        "test_other_policy_losses_equal_the_released_code": 6,
        "test_gradients_of_every_weight_equal_the_released_code": 90,
        "test_one_adam_step_and_new_priorities_equal_the_released_code": 2,
    }
)


class Recorded:
    """One update as far as its gradient."""

    def __init__(self, dtype: torch.dtype, **loss: str) -> None:
        self.reference = load_mazero_reference(dtype)
        self.mazero: Mazero = recorded_mazero(self.reference, **loss)
        self.replay = recorded_replay(self.mazero, self.reference)
        self.batch = recorded_batch(self.mazero, self.replay, self.reference)
        weight = self.reference.tensor(self.reference.outputs["per.weight"])
        self.steps: Steps = steps_of(replace(self.batch, weight=weight), self.mazero.settings, 5)
        self.targets: Targets = self.mazero.targets(self.steps)

    def loss(self) -> tuple[Unrolled, MazeroLoss]:
        return self.mazero.loss(self.steps, self.targets)

    def close(self, ours: Tensor, name: str, *, decoded: bool = False, of: Tensor | None = None) -> None:
        """Rows of ours, time first, equal the recorded ones, windows first."""
        exact = self.reference.dtype is torch.float64
        tolerance = 1e-9 if exact else 1e-3 if decoded else 1e-5
        found, expected = ours.detach(), torch.from_numpy(self.reference.outputs[name])
        found = found.transpose(0, 1) if found.dim() > 1 else found
        if of is not None:
            found, expected = found[of.transpose(0, 1)], expected[of.transpose(0, 1)]
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)
        note(name)

    def close_scalar(self, ours: float | Tensor, name: str, *, float32: float = 1e-3) -> None:
        tolerance = 1e-9 if self.reference.dtype is torch.float64 else float32
        ours = float(ours.detach()) if isinstance(ours, Tensor) else ours
        assert ours == pytest.approx(self.reference.scalars[name], rel=tolerance, abs=tolerance), name
        note(name)


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=["float64", "float32"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


def test_the_batch_equals_the_released_code(recorded: Recorded) -> None:
    reference, steps, unroll = recorded.reference, recorded.steps, recorded.mazero.settings.unroll
    data = reference.data
    assert recorded.batch.weight.numpy() == pytest.approx(reference.outputs["per.weight"], rel=1e-6)  # as it is kept
    note("per.weight")
    observation = steps.seen[: unroll + 1].permute(1, 2, 0, 3)  # [B, N, F + U, D]
    for name, ours in (
        ("observation", observation),
        ("action", steps.action[: unroll + 1].transpose(0, 1)),
        ("mask", steps.taken[: unroll + 1].transpose(0, 1)),
    ):
        assert np.array_equal(ours.numpy(), data[f"batch.{name}"].astype(ours.numpy().dtype)), name
        note(name)


def test_searching_anew_equals_the_released_code(recorded: Recorded) -> None:
    reference, mazero, steps = recorded.reference, recorded.mazero, recorded.steps
    rows, tolerance = mazero.settings.unroll + 1, 1e-9 if reference.dtype is torch.float64 else 1e-3
    there = steps.taken[:rows].transpose(0, 1)
    seen = steps.seen[:rows].transpose(0, 1) * there[..., None, None]  # beyond an end they took empty frames
    first = np.cumsum([0, *reference.scalars["replay.lengths"]])
    beginning = first[np.searchsorted(first, reference.data["batch.index"], side="right") - 1]
    legal = torch.from_numpy(reference.data["replay.legal"][beginning] > 0)[:, None]  # and the episode's first mask
    legal = torch.where(there[..., None, None], steps.legal[:rows].transpose(0, 1), legal)
    planning = PlanningModel(model=mazero.delayed)
    draws = RecordedSearch(*(reference.samples[f"reanalyse.{name}"] for name in ("noise", "sampled", "path_child")))
    with torch.no_grad():
        root = planning.root(seen.flatten(0, 1), legal.flatten(0, 1))
    run = Search(root, planning, mazero.settings.search, draws, noise=True)
    leaves = [run.simulate() for _ in range(mazero.settings.search.simulations)]
    result = run.result()
    valid = result.valid.numpy()
    for name, ours in (
        ("leaf_reward", torch.stack([leaf.reward for leaf in leaves], 1)),
        ("leaf_value", torch.stack([leaf.value for leaf in leaves], 1)),
        ("root_pred", result.prediction),
        ("root_value", result.value),
        ("root_children", result.valid.sum(-1)),
        ("root_visits", result.visits),
        ("root_actions", result.actions),
        ("root_q", result.q),
        ("root_ratio", result.ratio),
    ):
        found, expected = ours.numpy(), reference.outputs[f"reanalyse.{name}"]
        if found.shape[1:2] == valid.shape[1:] and not name.startswith("leaf"):
            found, expected = found[valid], expected[valid]
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)
        note(name)


def test_targets_equal_the_released_code(recorded: Recorded) -> None:
    reference, targets = recorded.reference, recorded.targets
    policy, valid = targets.policy, targets.policy.valid
    recorded.close(targets.value, "target.value", decoded=True)
    rewards = reference.tensor(reference.outputs["target.reward"])[:, :-1]
    torch.testing.assert_close(targets.reward.transpose(0, 1), rewards, rtol=1e-6, atol=0)  # a mean over the agents
    note("target.reward")
    recorded.close(policy.actions, "target.actions", of=valid)
    recorded.close(policy.policy, "target.policy", of=valid)
    recorded.close(policy.ratio, "target.ratio", of=valid)
    recorded.close(valid, "target.valid")
    recorded.close(targets.advantage, "target.advantage", decoded=True)
    recorded.close(policy_weights(targets, recorded.mazero.settings.loss), "loss.policy_weight", decoded=True, of=valid)
    searches = {
        name: values.reshape(5, 6, *values.shape[1:])
        for name, values in reference.outputs.items()
        if name.startswith("reanalyse.root")
    }
    taken = valid.any(-1).transpose(0, 1)
    tolerance = 1e-9 if reference.dtype is torch.float64 else 1e-3
    for name, ours in (("value", policy.value), ("pred", policy.prediction), ("q", policy.q)):
        found, expected = ours.transpose(0, 1)[taken], searches[f"reanalyse.root_{name}"][taken.numpy()]
        there = valid.transpose(0, 1)[taken] if name == "q" else torch.ones(len(found), dtype=torch.bool)
        np.testing.assert_allclose(found[there], expected[there.numpy()], rtol=tolerance, atol=tolerance, err_msg=name)
        note(f"reanalyse.root_{name}")


def test_the_unrolled_model_equals_the_released_code(recorded: Recorded) -> None:
    unrolled, _ = recorded.loss()
    recorded.close(unrolled.hidden, "unroll.hidden")
    recorded.close(unrolled.policy, "unroll.policy_logits")
    recorded.close(unrolled.value, "unroll.value_logits")
    recorded.close(unrolled.reward, "unroll.reward_logits")
    observed = recorded.mazero.model.represent(recorded.steps.seen[1 : len(unrolled.hidden)])
    recorded.close(observed, "unroll.target_hidden")


def test_every_loss_term_equals_the_released_code(recorded: Recorded) -> None:
    _, loss = recorded.loss()
    for name in ("reward", "value", "consistency"):
        recorded.close(getattr(loss, name), f"loss.{name}_steps", decoded=True)
    for name in ("reward", "value", "policy", "consistency"):
        term = getattr(loss, name).sum(0)
        recorded.close(term, f"loss.{name}", decoded=True)
        recorded.close_scalar((recorded.steps.weight * term).mean(), f"loss.weighted_mean.{name}")
    recorded.close(loss.per_window, "loss.per_sample", decoded=True)
    recorded.close_scalar(loss.total, "loss.total")


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs"), [("bc", "none"), ("raw", "raw")])
def test_other_policy_losses_equal_the_released_code(ours: str, theirs: str) -> None:
    recorded = Recorded(torch.float64, policy=ours)
    _, loss = recorded.loss()
    recorded.close(loss.policy.sum(0), f"loss.policy_{theirs}")
    recorded.close_scalar(loss.total, f"loss.total_{theirs}")
    recorded.close_scalar(recorded.mazero.step(loss), f"grad_global_norm_{theirs}", float32=1e-5)
    for name in ("policy", "total", "norm"):
        note(name)


def test_gradients_of_every_weight_equal_the_released_code(recorded: Recorded) -> None:
    mazero, reference = recorded.mazero, recorded.reference
    mazero.model.zero_grad(set_to_none=True)
    _, loss = recorded.loss()
    (loss.total / mazero.settings.unroll).backward()
    tolerance = 1e-9 if reference.dtype is torch.float64 else 1e-4
    places = recorded_places(mazero.model)
    for name, parameter in places.items():
        norm = float(parameter.grad.norm())
        assert float(norm) == pytest.approx(
            reference.meta["grad_norm_per_weight_float64"][name], rel=tolerance, abs=tolerance
        ), name
        note(name)
        if f"grad.{name}" in reference.outputs:
            np.testing.assert_allclose(
                parameter.grad.numpy(), reference.outputs[f"grad.{name}"], rtol=tolerance, atol=tolerance, err_msg=name
            )
            note(f"grad.{name}")
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in places.values()])
    recorded.close_scalar(norm, "grad_global_norm", float32=1e-5)


def test_one_adam_step_and_new_priorities_equal_the_released_code() -> None:
    recorded = Recorded(torch.float64)
    unrolled, loss = recorded.loss()
    recorded.close(recorded.mazero.priorities(unrolled, recorded.targets), "per.new_priority")
    recorded.mazero.step(loss)
    recorded.close_scalar(recorded.loss()[1].total, "loss.after_one_adam_step")
