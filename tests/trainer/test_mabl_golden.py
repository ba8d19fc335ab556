"""Our MABL equals the released code on recorded weights, data and samples, value by value.

float64: 1e-9 (1e-5 for the wide logits, which were stored in float32); float32: 1e-5.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from mabl_reference import BilevelReference, load_bilevel_reference
from mamba_reference import RecordedDraws, noise_for, recorded_gradient

from trainer.algorithms.dreamer.agent_steps import SilentStep
from trainer.algorithms.dreamer.execution import initial_state, team_step
from trainer.experience.columns import STATE
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.ppo import PolicyBatch, actor_loss, critic_loss, policy_batch
from trainer.policy.settings import PolicySettings
from trainer.world_model.bilevel_imagination import BilevelImagination
from trainer.world_model.imagination import JointStates, roll_out
from trainer.world_model.loss import WorldModelLoss, world_model_loss
from trainer.world_model.posteriors import Posteriors
from trainer.world_model.settings import LossSettings

PUBLISHED_LOSS = LossSettings(reset_action_on_first=False, across_episodes=True, drop_last_row=True)
PUBLISHED_POLICY = PolicySettings(horizon=3, force_available=False)
CLIP = 100.0
CATEGORICALS = 32
WIDE = {"rtol": 1e-5, "atol": 1e-5}

comparisons_are_counted = counted(
    {
        "test_both_levels_over_a_window_equal_the_released_code": 8,
        "test_every_head_equals_the_released_code": 6,
        "test_every_loss_term_equals_the_released_code": 8,
        "test_gradients_of_every_weight_equal_the_released_code": 104,
        "test_one_adam_step_on_the_model_equals_the_released_code": 1,
        "test_imagination_equals_the_released_code": 8,
        "test_returns_and_advantages_equal_the_released_code": 3,
        "test_ppo_losses_and_gradients_equal_the_released_code": 17,
        "test_execution_of_a_team_equals_the_released_controller": 12,
        "test_execution_of_each_agent_alone_equals_the_released_controller": 9,
    }
)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def reference(request: pytest.FixtureRequest) -> BilevelReference:
    return load_bilevel_reference(request.param)


def posteriors_of(reference: BilevelReference) -> Posteriors:
    """Ours draws the agents' posteriors of a window first, then the global ones, then the global priors."""
    latent = [*reference.ids("wm.agent_post_ids"), *reference.ids("wm.global_post_ids")]
    draws = RecordedDraws(latent=[*latent, reference.ids("wm.global_prior_ids")], action=[], available=[])
    return reference.model.observe(reference.window(), draws.latent, reset_action_on_first=False)


def loss_of(reference: BilevelReference) -> WorldModelLoss:
    return world_model_loss(reference.model, reference.window(), posteriors_of(reference), PUBLISHED_LOSS)


def close(reference: BilevelReference, ours: torch.Tensor, name: str) -> None:
    np.testing.assert_allclose(
        ours.detach().numpy(), reference.outputs[name].reshape(ours.shape), err_msg=name, **reference.tolerance
    )
    note(name)


def close_scalar(reference: BilevelReference, ours: torch.Tensor | float, name: str, factor: float = 1.0) -> None:
    tolerance = reference.tolerance
    assert float(torch.as_tensor(ours).detach()) == pytest.approx(
        reference.scalars[name], rel=tolerance["rtol"] * factor, abs=tolerance["atol"] * factor
    ), name
    note(name)


def test_both_levels_over_a_window_equal_the_released_code(reference: BilevelReference) -> None:
    model, window, above = reference.model, reference.window(), reference.model.above
    close(reference, model.encoder(window.observation), "wm.obs_embed")
    close(reference, above.encoder(window.columns[STATE]), "wm.state_embed")
    posteriors = posteriors_of(reference)
    deter = dict(zip(("agent", "global"), posteriors.deter.chunk(2, dim=-1), strict=True))
    for level, values in deter.items():
        close(reference, values, f"wm.{level}_deter")
    probabilities = {
        "agent_post": posteriors.probabilities[..., :CATEGORICALS, :],
        "global_post": posteriors.probabilities[..., CATEGORICALS:, :],
        "global_prior": posteriors.global_prior,
        "agent_prior": model.levels(posteriors)["kl_agent"][1],
    }
    for name, values in probabilities.items():
        recorded = reference.outputs[f"wm.{name}_logits_batch0_steps01"].reshape(2, 3, CATEGORICALS, -1)
        expected = torch.softmax(torch.from_numpy(recorded), dim=-1)
        np.testing.assert_allclose(values[:2, 0].detach().numpy(), expected, err_msg=name, **WIDE)
        note(name)


def test_every_head_equals_the_released_code(reference: BilevelReference) -> None:
    model, usable = reference.model, reference.dims["usable_steps"]
    posteriors = posteriors_of(reference)
    ids, deter = posteriors.ids[:usable], posteriors.deter[:usable]
    reconstruction, feature = model.decoder(ids, deter)
    close(reference, reconstruction, "wm.reconstruction")
    close(reference, feature, "wm.decoder_feature")
    close(reference, model.available(ids, deter), "wm.avail_logits")
    close(reference, model.information(feature[1:]), "wm.info_logits")
    pair = (posteriors.ids[:usable], posteriors.deter[1:])
    close(reference, model.reward(*pair), "wm.reward_pred")
    close(reference, model.continuation(*pair), "wm.continue_logit")


def test_every_loss_term_equals_the_released_code(reference: BilevelReference) -> None:
    loss = loss_of(reference)
    names = {"information": "info", "available": "avail"}
    assert len(loss.terms) == 7
    for term, value in loss.terms.items():
        close_scalar(reference, value, f"wm.loss.{names.get(term, term)}")
    close_scalar(reference, loss.total, "wm.loss.total")


def test_gradients_of_every_weight_equal_the_released_code(reference: BilevelReference) -> None:
    loss_of(reference).total.backward()
    squared, compared = 0.0, 0
    for weight, places in reference.parameters.items():
        if weight.startswith(("actor", "critic")):
            continue
        gradient = recorded_gradient(places)
        norm = float(gradient.norm())
        squared += norm**2
        assert norm == pytest.approx(reference.gradient_norms[f"wm.{weight}"], rel=1e-5, abs=1e-6), weight
        note(weight)
        if f"wm.grad.{weight}" in reference.outputs:
            close(reference, gradient, f"wm.grad.{weight}")
            compared += 1
    assert compared == 28
    assert squared**0.5 == pytest.approx(reference.scalars["wm.grad_global_norm"], rel=1e-6)


def test_one_adam_step_on_the_model_equals_the_released_code() -> None:
    reference = load_bilevel_reference(torch.float64)
    optimiser = torch.optim.Adam(reference.model.parameters(), lr=3e-4)
    loss_of(reference).total.backward()
    torch.nn.utils.clip_grad_norm_(reference.model.parameters(), CLIP)
    optimiser.step()
    close_scalar(reference, loss_of(reference).total, "wm.loss_after_one_adam_step")


def dream_of(reference: BilevelReference) -> ImaginedRollout:
    usable = reference.dims["usable_steps"]
    with torch.no_grad():
        posteriors = posteriors_of(reference).rows(usable)
    start = JointStates(ids=posteriors.ids.flatten(0, 1), deter=posteriors.deter.flatten(0, 1), hears=None)
    levels = zip(reference.ids("imag.global_latent_ids"), reference.ids("imag.agent_latent_ids"), strict=True)
    draws = RecordedDraws(
        latent=[ids for step in levels for ids in step],  # from the top down
        action=list(reference.ids("imag.action_ids")),
        available=list(reference.ids("imag.avail") > 0),
    )
    world = BilevelImagination(model=reference.model, actor=reference.actor, settings=PUBLISHED_POLICY, draws=draws)
    return roll_out(world, start, predict=world.predict)


def test_imagination_equals_the_released_code(reference: BilevelReference) -> None:
    dream, outputs, tolerance = dream_of(reference), reference.outputs, reference.tolerance
    agent, above = dream.features[1].chunk(2, dim=-1)
    close(reference, agent, "imag.agent_deter")
    close(reference, above, "imag.global_deter")
    for name, ours in (
        ("policy_logits", dream.logits),
        ("policy_logits_unmasked", reference.actor(dream.features[0], dream.features[1])[:3]),
        ("avail_logits", reference.model.available(dream.features[0], dream.features[1])[:3]),
    ):
        np.testing.assert_allclose(ours.detach().numpy(), outputs[f"imag.{name}"][:3], err_msg=name, **tolerance)
        note(name)
    np.testing.assert_allclose(dream.reward.numpy(), outputs["imag.reward_agent"][:3, ..., 0], **tolerance)
    close(reference, dream.reward.mean(-1), "imag.reward_team")
    close(reference, dream.continuation, "imag.continue_prob")
    close(reference, reference.critic(dream.features[0].flatten(0, 1), dream.features[1].flatten(0, 1)), "imag.value")


def test_returns_and_advantages_equal_the_released_code(reference: BilevelReference) -> None:
    dream = dream_of(reference)
    raw = policy_batch(dream, reference.critic, PolicySettings(advantage_normalisation=False), reference.actions)
    close(reference, raw.returns, "imag.lambda_return")
    close(reference, raw.advantage, "ppo.advantage")
    close(
        reference,
        policy_batch(dream, reference.critic, PUBLISHED_POLICY, reference.actions).advantage,
        "ppo.advantage_normalised",
    )


def minibatch_of(reference: BilevelReference) -> PolicyBatch:
    rows = torch.from_numpy(reference.data["ppo.minibatch_rows"].astype(np.int64))
    return policy_batch(dream_of(reference), reference.critic, PUBLISHED_POLICY, reference.actions).rows(rows)


def test_ppo_losses_and_gradients_equal_the_released_code(reference: BilevelReference) -> None:
    batch, actor, critic = minibatch_of(reference), reference.actor_perturbed, reference.critic
    close(reference, reference.actions.masked(actor(*batch.features), batch.available), "ppo.new_logits")
    loss = actor_loss(actor, batch, reference.actions, clip=0.2, entropy_scale=1e-3)
    close_scalar(reference, loss.loss, "ppo.actor_loss")
    close_scalar(reference, loss.entropy, "ppo.entropy_mean")
    close_scalar(reference, loss.policy, "ppo.policy_term_mean")
    loss.loss.backward()
    value_loss = critic_loss(critic, batch)
    close_scalar(reference, value_loss, "ppo.critic_loss")
    value_loss.backward()
    compared = 0
    for weight, places in reference.parameters.items():
        if f"ppo.grad.{weight}" in reference.outputs:
            close(reference, recorded_gradient(places), f"ppo.grad.{weight}")
            compared += 1
    assert compared == 10
    for module, name in ((actor, "ppo.actor_grad_norm"), (critic, "ppo.critic_grad_norm")):
        close_scalar(reference, torch.nn.utils.get_total_norm([p.grad for p in module.parameters()]), name, factor=10)


def test_execution_of_a_team_equals_the_released_controller(reference: BilevelReference) -> None:
    model, agents = reference.model, reference.dims["agents"]
    draws = RecordedDraws(
        latent=list(reference.ids("exec_agent.latent_ids")),
        action=list(reference.ids("exec_agent.action_ids")),
        available=[],
    )
    state = initial_state(model, copies=1, agents=agents)
    for step, seen in enumerate(reference.tensor(reference.data["exec_in.observation"])):
        decision = team_step(
            model,
            reference.actor.network,
            state,
            observation=seen[None],
            action_mask=torch.from_numpy(reference.data["exec_in.avail"][step][None] > 0),
            hears=None,
            first=torch.tensor([step == 0]),
            draws=draws,
        )
        state = decision.state
        inputs = model.rssm.posterior_inputs(model.encoder(seen))
        posterior = model.rssm.posterior_logits(state.deter[0], inputs).flatten(1)
        for name, ours, tolerance in (
            ("deter", state.deter[0], reference.tolerance),
            ("post_logits", posterior, WIDE),
            ("actor_logits", reference.actor.network(state.ids, state.deter)[0], reference.tolerance),
            ("actor_logits_masked", decision.logits[0], reference.tolerance),
        ):
            expected = reference.outputs[f"exec_agent.{name}"][step]
            np.testing.assert_allclose(ours.detach().numpy(), expected, err_msg=name, **tolerance)
            note(name)


def test_execution_of_each_agent_alone_equals_the_released_controller(reference: BilevelReference) -> None:
    outputs, agent = reference.outputs, SilentStep(reference.model, reference.actor.network)
    ids, actions = reference.ids("exec_agent.latent_ids"), reference.ids("exec_agent.action_ids")
    for slot in range(reference.dims["agents"]):
        deter = torch.full((reference.dims["gru_agent"],), 9.0, dtype=reference.dtype)  # `first` makes it count as new
        for step in range(3):
            if step:
                expected = outputs["exec_agent.deter"][step, slot]
                np.testing.assert_allclose(deter.detach().numpy(), expected, **reference.tolerance)
            action, logits, deter = agent(
                reference.tensor(reference.data["exec_in.observation"][step][slot]),
                torch.from_numpy(reference.data["exec_in.avail"][step][slot] > 0),
                torch.tensor(step == 0),
                torch.tensor(False),
                deter,
                torch.cat(
                    [
                        noise_for(ids[step, slot], outputs["exec_agent.post_logits"][step, slot].reshape(32, 32)),
                        noise_for(actions[step, slot], outputs["exec_agent.actor_logits_masked"][step, slot])[None],
                    ]
                ),
            )
            assert int(action) == int(actions[step, slot])
            expected = outputs["exec_agent.actor_logits_masked"][step, slot]
            np.testing.assert_allclose(logits.detach().numpy(), expected, **reference.tolerance)
            note("actor_logits_masked")
