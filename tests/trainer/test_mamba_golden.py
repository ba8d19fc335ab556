"""Our MAMBA equals the released code on recorded weights, data and samples, value by value.

float64: 1e-9 (1e-5 for the wide logits, which were stored in float32); float32: 1e-5.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from mamba_reference import RecordedDraws, Reference, load_reference, noise_for, recorded_gradient

from trainer.algorithms.dreamer.agent_steps import AgentStep
from trainer.algorithms.dreamer.execution import initial_state, team_step
from trainer.policy.draws import Draws
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.ppo import PolicyBatch, actor_loss, critic_loss, policy_batch
from trainer.policy.settings import PolicySettings
from trainer.world_model.imagination import Imagination, JointStates, roll_out
from trainer.world_model.loss import WorldModelLoss, world_model_loss
from trainer.world_model.model import Posteriors
from trainer.world_model.settings import LossSettings

PUBLISHED_LOSS = LossSettings(reset_action_on_first=False, across_episodes=True, drop_last_row=True)
PUBLISHED_POLICY = PolicySettings(horizon=3, force_available=False)
CLIP = 100.0

comparisons_are_counted = counted(
    {
        "test_networks_over_a_window_equal_the_released_code": 10,
        "test_every_loss_term_equals_the_released_code": 7,
        "test_gradients_of_every_weight_equal_the_released_code": 116,
        "test_one_adam_step_on_the_model_equals_the_released_code": 1,
        "test_imagination_equals_the_released_code": 6,
        "test_returns_and_advantages_equal_the_released_code": 3,
        "test_ppo_losses_and_gradients_equal_the_released_code": 18,
        "test_one_adam_step_on_actor_and_critic_equals_the_released_code": 2,
        "test_execution_of_a_team_equals_the_released_controller": 15,
        "test_execution_of_each_agent_alone_equals_the_released_controller": 18,
    }
)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def reference(request: pytest.FixtureRequest) -> Reference:
    return load_reference("dev", request.param)


def draws(reference: Reference, prefix: str) -> Draws:
    latent = list(reference.ids(f"{prefix}latent_ids" if prefix else "wm.post_ids"))
    action = list(reference.ids(f"{prefix}action_ids")) if prefix else []
    available = list(reference.ids("imag.avail") > 0) if prefix == "imag." else []
    return RecordedDraws(latent=latent, action=action, available=available)


def posteriors_of(reference: Reference) -> Posteriors:
    return reference.model.observe(reference.window(), draws(reference, "").latent, reset_action_on_first=False)


def loss_of(reference: Reference) -> WorldModelLoss:
    return world_model_loss(reference.model, reference.window(), posteriors_of(reference), PUBLISHED_LOSS)


def gradient_of(reference: Reference, weight: str) -> torch.Tensor:
    return recorded_gradient(reference.parameters[weight], token=weight.startswith("transition_input"))


def close(reference: Reference, ours: torch.Tensor, name: str, *, wide: bool = False) -> None:
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if wide else reference.tolerance
    np.testing.assert_allclose(
        ours.detach().numpy(), reference.outputs[name].reshape(ours.shape), err_msg=name, **tolerance
    )
    note(name)


def close_scalar(reference: Reference, ours: torch.Tensor | float, name: str, factor: float = 1.0) -> None:
    tolerance = reference.tolerance
    assert float(torch.as_tensor(ours).detach()) == pytest.approx(
        reference.scalars[name], rel=tolerance["rtol"] * factor, abs=tolerance["atol"] * factor
    ), name
    note(name)


def test_networks_over_a_window_equal_the_released_code(reference: Reference) -> None:
    model, window, usable = reference.model, reference.window(), reference.dims["usable_steps"]
    close(reference, model.encoder(window.observation), "wm.embed")
    posteriors = posteriors_of(reference)
    close(reference, posteriors.deter, "wm.deter")
    ids, deter = posteriors.ids[:usable], posteriors.deter[:usable]
    close(reference, model.rssm.prior_logits(deter), "wm.prior_logits", wide=True)
    inputs = model.rssm.posterior_inputs(model.encoder(window.observation[:usable]))
    close(reference, model.rssm.posterior_logits(deter, inputs), "wm.post_logits", wide=True)
    reconstruction, feature = model.decoder(ids, deter)
    close(reference, reconstruction, "wm.reconstruction")
    close(reference, feature, "wm.decoder_feature")
    close(reference, model.available(ids, deter), "wm.avail_logits")
    close(reference, model.information(feature[1:]), "wm.info_logits")
    pair = (posteriors.ids[:usable], posteriors.deter[1:])
    close(reference, model.reward(*pair), "wm.reward_pred")
    close(reference, model.continuation(*pair), "wm.continue_logit")


def test_every_loss_term_equals_the_released_code(reference: Reference) -> None:
    loss = loss_of(reference)
    names = {"information": "info", "available": "avail"}
    for term, value in loss.terms.items():
        close_scalar(reference, value, f"wm.loss.{names.get(term, term)}")
    close_scalar(reference, loss.total, "wm.loss.total")


def test_gradients_of_every_weight_equal_the_released_code(reference: Reference) -> None:
    loss_of(reference).total.backward()
    model_weights = [name for name in reference.parameters if not name.startswith(("actor", "critic"))]
    squared = 0.0
    for weight in model_weights:
        gradient = gradient_of(reference, weight)
        norm = float(gradient.norm())
        squared += norm**2
        assert norm == pytest.approx(reference.gradient_norms[weight], rel=1e-5, abs=1e-6), weight
        note(weight)
        if f"wm.grad.{weight}" in reference.outputs:
            close(reference, gradient, f"wm.grad.{weight}")
    assert squared**0.5 == pytest.approx(reference.scalars["wm.grad_global_norm"], rel=1e-6)


def test_one_adam_step_on_the_model_equals_the_released_code() -> None:
    reference = load_reference("dev", torch.float64)
    optimiser = torch.optim.Adam(reference.model.parameters(), lr=2e-4)
    loss_of(reference).total.backward()
    torch.nn.utils.clip_grad_norm_(reference.model.parameters(), CLIP)
    optimiser.step()
    close_scalar(reference, loss_of(reference).total, "wm.loss_after_one_adam_step")


def dream_of(reference: Reference) -> ImaginedRollout:
    usable = reference.dims["usable_steps"]
    with torch.no_grad():
        posteriors = posteriors_of(reference)
    start = JointStates(
        ids=posteriors.ids[:usable].flatten(0, 1), deter=posteriors.deter[:usable].flatten(0, 1), hears=None
    )
    world = Imagination(
        model=reference.model, actor=reference.actor, settings=PUBLISHED_POLICY, draws=draws(reference, "imag.")
    )
    return roll_out(world, start, predict=world.predict)


def test_imagination_equals_the_released_code(reference: Reference) -> None:
    dream, outputs, tolerance = dream_of(reference), reference.outputs, reference.tolerance
    close(reference, dream.features[1], "imag.deter")
    for name, ours in (("policy_logits", dream.logits), ("reward_agent", dream.reward.unsqueeze(-1))):
        np.testing.assert_allclose(ours.numpy(), outputs[f"imag.{name}"][:3], err_msg=name, **tolerance)
        note(name)
    close(reference, dream.reward.mean(-1), "imag.reward_team")
    close(reference, dream.continuation, "imag.continue_prob")
    value = reference.critic(dream.features[0].flatten(0, 1), dream.features[1].flatten(0, 1))
    close(reference, value, "imag.value")


def test_returns_and_advantages_equal_the_released_code(reference: Reference) -> None:
    dream = dream_of(reference)
    raw = policy_batch(dream, reference.critic, PolicySettings(advantage_normalisation=False), reference.actions)
    close(reference, raw.returns, "imag.lambda_return")
    close(reference, raw.advantage, "ppo.advantage")
    close(
        reference,
        policy_batch(dream, reference.critic, PUBLISHED_POLICY, reference.actions).advantage,
        "ppo.advantage_normalised",
    )


def batch_of(reference: Reference, *, normalised: bool = True) -> PolicyBatch:
    settings = PolicySettings(horizon=3, force_available=False, advantage_normalisation=normalised)
    return policy_batch(dream_of(reference), reference.critic, settings, reference.actions)


def test_ppo_losses_and_gradients_equal_the_released_code(reference: Reference) -> None:
    batch, actor, critic = batch_of(reference), reference.actor_perturbed, reference.critic
    close(reference, reference.actions.masked(actor(*batch.features), batch.available), "ppo.new_logits")
    loss = actor_loss(actor, batch, reference.actions, clip=0.2, entropy_scale=1e-3)
    close_scalar(reference, loss.loss, "ppo.actor_loss")
    close_scalar(reference, loss.entropy, "ppo.entropy_mean")
    close_scalar(reference, loss.policy, "ppo.policy_term_mean")
    other = actor_loss(actor, batch_of(reference, normalised=False), reference.actions, clip=0.2, entropy_scale=1e-3)
    close_scalar(reference, other.loss, "ppo.actor_loss_other_advantage")
    loss.loss.backward()
    value_loss = critic_loss(critic, batch)
    close_scalar(reference, value_loss, "ppo.critic_loss")
    value_loss.backward()
    for weight in reference.parameters:
        if f"ppo.grad.{weight}" in reference.outputs:
            close(reference, gradient_of(reference, weight), f"ppo.grad.{weight}")
    for module, name in ((actor, "ppo.actor_grad_norm"), (critic, "ppo.critic_grad_norm")):
        close_scalar(reference, torch.nn.utils.get_total_norm([p.grad for p in module.parameters()]), name, factor=10)


def test_one_adam_step_on_actor_and_critic_equals_the_released_code() -> None:
    reference = load_reference("dev", torch.float64)
    batch, actor, critic = batch_of(reference), reference.actor_perturbed, reference.critic
    optimisers = (
        torch.optim.Adam(actor.parameters(), lr=5e-4, weight_decay=1e-5),
        torch.optim.Adam(critic.parameters(), lr=5e-4),
    )
    actor_loss(actor, batch, reference.actions, clip=0.2, entropy_scale=1e-3).loss.backward()
    critic_loss(critic, batch).backward()
    for module, optimiser in zip((actor, critic), optimisers, strict=True):
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimiser.step()
    after = actor_loss(actor, batch, reference.actions, clip=0.2, entropy_scale=1e-3).loss
    close_scalar(reference, after, "ppo.actor_loss_after_one_adam_step")
    close_scalar(reference, critic_loss(critic, batch), "ppo.critic_loss_after_one_adam_step")


def test_execution_of_a_team_equals_the_released_controller(reference: Reference) -> None:
    model, agents = reference.model, reference.dims["agents"]
    recorded = draws(reference, "exec_full.")
    observation = reference.tensor(reference.data["exec_in.observation"])
    action_mask = torch.from_numpy(reference.data["exec_in.avail"] > 0)
    state = initial_state(model, copies=1, agents=agents)
    for step in range(3):
        # What the controller computes on the way, from the same state.
        keep = torch.full((1, agents, 1), float(step > 0), dtype=reference.dtype)
        rows = model.rssm.communicate(model.rssm.tokens(state.ids, state.action, keep), None)
        decision = team_step(
            model,
            reference.actor,
            state,
            observation=observation[step][None],
            action_mask=action_mask[step][None],
            hears=None,
            first=torch.tensor([step == 0]),
            draws=recorded,
        )
        state = decision.state
        inputs = model.rssm.posterior_inputs(model.encoder(observation[step]))
        for name, ours, wide in (
            ("comm_out", rows[0], False),
            ("deter", state.deter[0], False),
            ("post_logits", model.rssm.posterior_logits(state.deter[0], inputs).flatten(1), True),
            ("actor_logits", reference.actor(state.ids, state.deter)[0], False),
            ("actor_logits_masked", decision.logits[0], False),
        ):
            tolerance = {"rtol": 1e-5, "atol": 1e-5} if wide else reference.tolerance
            expected = reference.outputs[f"exec_full.{name}"][step]
            np.testing.assert_allclose(ours.detach().numpy(), expected, err_msg=name, **tolerance)
            note(name)


def test_execution_of_each_agent_alone_equals_the_released_controller(reference: Reference) -> None:
    agents, outputs = reference.dims["agents"], reference.outputs
    ids, actions = reference.ids("exec_full.latent_ids"), reference.ids("exec_full.action_ids")
    for slot in range(agents):
        agent = AgentStep(reference.model, reference.actor, slot=slot)
        deter = torch.zeros(reference.dims["gru"], dtype=reference.dtype)
        for step in range(3):
            before = max(step - 1, 0)  # at the first step the messages count as zero, whatever they are
            latent, action, logits, deter = agent(
                reference.tensor(reference.data["exec_in.observation"][step][slot]),
                torch.from_numpy(reference.data["exec_in.avail"][step][slot] > 0),
                ids[before].int(),
                actions[before].int(),
                torch.ones(agents, dtype=torch.bool),
                torch.tensor(step == 0),
                torch.tensor(False),
                deter,
                torch.cat(
                    [
                        noise_for(ids[step, slot], outputs["exec_full.post_logits"][step, slot].reshape(32, 32)),
                        noise_for(actions[step, slot], outputs["exec_full.actor_logits_masked"][step, slot])[None],
                    ]
                ),
            )
            assert latent.tolist() == ids[step, slot].tolist()
            assert int(action) == int(actions[step, slot])
            for name, ours in (("deter", deter), ("actor_logits_masked", logits)):
                expected = outputs[f"exec_full.{name}"][step, slot]
                np.testing.assert_allclose(ours.detach().numpy(), expected, err_msg=name, **reference.tolerance)
                note(name)
