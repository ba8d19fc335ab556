"""Our MAG equals the released code on recorded weights, data and samples: labels, predictor and planning.

float64: 1e-9 (1e-5 for the wide logits, which were stored in float32); float32: 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from mag_reference import PUBLISHED_LOSS, Golden, load_golden
from mamba_reference import RecordedDraws, recorded_gradient
from torch import Tensor

from trainer.policy.settings import PolicySettings
from trainer.world_model.imagination import Decision, Imagination, JointStates, Outlook
from trainer.world_model.loss import loss_rows, world_model_loss
from trainer.world_model.model_error import predictor_loss
from trainer.world_model.planning import Planning
from trainer.world_model.settings import ErrorLabel, PlanningSettings

LABELS: dict[ErrorLabel, str] = {"published": "as_code", "whole": "with_reconstruction"}

comparisons_are_counted = counted(
    {
        "test_every_term_of_the_label_equals_the_released_code": 11,
        "test_the_predictor_its_loss_and_gradients_equal_the_released_code": 14,
        "test_one_adam_step_on_the_predictor_equals_the_released_code": 1,
        "test_a_planning_step_and_its_choice_equal_the_released_code": 10,
    }
)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


def test_every_term_of_the_label_equals_the_released_code(golden: Golden) -> None:
    window, posteriors = golden.window(), golden.posteriors("label")
    golden.close(posteriors.deter, "label.deter")
    rssm = golden.model.rssm
    golden.close(rssm.prior_logits(posteriors.deter[:2, 0]), "label.prior_logits_batch0_steps01", wide=True)
    with torch.no_grad():
        rows = loss_rows(golden.model, window, posteriors, PUBLISHED_LOSS)
    names = {"kl": "kl", "reconstruction": "reconstruction_sum", "available": "avail"}
    for name, recorded in names.items():
        golden.close(rows.states[name], f"label.term.{recorded}")
    golden.close(rows.pairs["reward"], "label.term.reward")
    golden.close(rows.pairs["continue"], "label.term.continue")
    information = torch.cat([torch.zeros_like(rows.pairs["information"][:1]), rows.pairs["information"]])
    golden.close(information, "label.term.info")
    for kind, recorded in LABELS.items():
        golden.close(golden.label(kind), f"label.{recorded}")
    golden.close_scalar(world_model_loss(golden.model, window, posteriors, PUBLISHED_LOSS).total, "wm.loss.total")


@pytest.mark.parametrize("kind", LABELS)
def test_the_predictor_its_loss_and_gradients_equal_the_released_code(golden: Golden, kind: ErrorLabel) -> None:
    recorded, label = LABELS[kind], golden.label(kind)
    deter = golden.posteriors("pred").deter[:-1]
    golden.close(deter, "pred.deter")
    golden.close(golden.model.rssm.prior_logits(deter[1]), "pred.prior_logits_step1", wide=True)
    ids = golden.ids("pred.prior_ids")[:-1]
    golden.close(golden.predictor(ids, deter), "pred.error")
    loss = predictor_loss(golden.predictor, (ids, deter), label)
    golden.close_scalar(loss, f"pred.loss_{recorded}")
    loss.backward()
    for weight, places in golden.parameters.items():
        if f"pred.grad_{recorded}.{weight}" in golden.outputs:
            golden.close(recorded_gradient(places), f"pred.grad_{recorded}.{weight}")
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in golden.predictor.parameters()])
    golden.close_scalar(norm, f"pred.grad_norm_{recorded}")


def test_one_adam_step_on_the_predictor_equals_the_released_code(golden: Golden) -> None:
    ids, deter = golden.ids("pred.prior_ids")[:-1], golden.posteriors("pred").deter[:-1]
    label = golden.label("published")
    optimiser = torch.optim.Adam(golden.predictor.parameters(), lr=5e-4)
    predictor_loss(golden.predictor, (ids, deter), label).backward()
    optimiser.step()
    after = predictor_loss(golden.predictor, (ids, deter), label)
    golden.close_scalar(after, "pred.loss_as_code_after_one_adam_step")


@dataclass(frozen=True, kw_only=True)
class Watched(Imagination):
    """Keeps what it is asked for."""

    decisions: list[tuple[JointStates, Decision]]
    outlooks: list[Outlook]

    def decide(self, states: JointStates) -> Decision:
        decision = super().decide(states)
        self.decisions.append((states, decision))
        return decision

    def transition(self, states: JointStates, action: Tensor) -> Outlook:
        outlook = super().transition(states, action)
        self.outlooks.append(outlook)
        return outlook


@pytest.mark.parametrize("select", ["row", "batch"])
@torch.no_grad()
def test_a_planning_step_and_its_choice_equal_the_released_code(golden: Golden, select: str) -> None:
    rows, usable, classes = golden.dims["start_rows"], golden.dims["usable_steps"], golden.dims["classes"]
    latents, actions, masks = (
        golden.ids(f"plan.rollout_{name}").flatten(1, 2) for name in ("latent_ids", "action_ids", "avail")
    )
    world = Watched(
        model=golden.model,
        actor=golden.actor,
        settings=PolicySettings(force_available=False),
        draws=RecordedDraws(
            latent=list(latents),
            action=[golden.ids("plan.action_ids"), *actions],
            available=[golden.ids("plan.avail") > 0, *(masks > 0)],
        ),
        decisions=[],
        outlooks=[],
    )
    posteriors = golden.posteriors("label")
    start = JointStates(
        ids=posteriors.ids[:usable].flatten(0, 1), deter=posteriors.deter[:usable].flatten(0, 1), hears=None
    )
    golden.close(start.deter, "plan.start_deter")
    errors: list[Tensor] = []

    def error(states: JointStates) -> Tensor:
        errors.append(golden.predictor(states.ids, states.deter))
        return errors[-1].mean((-1, -2))

    planning = Planning(world=world, error=error, settings=PlanningSettings(candidates=4, horizon=6, select=select))
    chosen = planning(world.transition(start, world.decide(start).action))

    golden.close(golden.actor(start.ids, start.deter), "plan.policy_logits_unmasked")
    first, *later = world.outlooks
    assert [len(each.deter) for each in world.outlooks] == [rows, *[4 * rows] * 5], "the first transition is shared"
    rolled = torch.stack([first.deter.expand(4, *first.deter.shape).flatten(0, 1), *(each.deter for each in later)])
    golden.close(rolled, "plan.rollout_deter")
    # The priors in logits, up to the constant that a softmax leaves open.
    prior = golden.tensor("plan.candidate_prior_logits").unflatten(-1, (-1, classes)).softmax(-1)
    torch.testing.assert_close(first.prior[:6], prior, rtol=1e-5, atol=1e-6)
    note("plan.candidate_prior_logits")
    last = golden.tensor("plan.rollout_prior_logits_last_row0").unflatten(-1, (-1, classes)).softmax(-1)
    torch.testing.assert_close(later[-1].prior[::rows], last, rtol=1e-5, atol=1e-6)
    note("plan.rollout_prior_logits_last_row0")
    logits = torch.stack([golden.actor(states.ids, states.deter) for states, _ in world.decisions[1:]])
    expected = golden.outputs["plan.rollout_policy_logits_unmasked"][:5]  # nobody acts after the last
    tolerance = 1e-9 if golden.dtype is torch.float64 else 1e-5
    np.testing.assert_allclose(logits.reshape(expected.shape), expected, rtol=tolerance, atol=tolerance)
    note("plan.rollout_policy_logits_unmasked")
    golden.close(torch.stack(errors), "plan.predicted_error")
    by_candidate = torch.stack(errors).mean((-1, -2)).sum(0).reshape(4, rows)
    golden.close(by_candidate, "plan.trajectory_error_row")
    golden.close(by_candidate.mean(1), "plan.trajectory_error_batch")

    assert np.array_equal(chosen.ids, golden.outputs[f"plan.next_latent_ids_{select}"])
    golden.close(chosen.deter, f"plan.next_deter_{select}")
    best = np.broadcast_to(golden.outputs[f"plan.best_{select}"], rows)
    candidates = latents[0].reshape(4, rows, *latents[0].shape[1:])
    assert torch.equal(chosen.ids, candidates[torch.from_numpy(best.astype(np.int64)), torch.arange(rows)])
