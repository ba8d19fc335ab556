"""`Marie`, as it is made for training, equals the released code on recorded weights, data and samples, value by value.

float64: 1e-9 (2e-5 for what was stored in float32); float32: 1e-5.  Tokenizer, value codes and execution have files of
their own.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from marie_golden_team import PARTS, Golden, Watch, imagined, load, starts_of
from marie_model_reference import Places, fill_actor, recorded_segments
from marie_reference import FOLDER
from torch import Tensor

from trainer.algorithms.marie.loss import loss_sizes, marie_loss
from trainer.algorithms.marie.marie import Marie
from trainer.nets.means import Means
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.ppo import actor_loss, critic_loss, policy_batch

pytestmark = pytest.mark.slow  # each is short, all of them are seconds

WITH_DECAY = json.loads((FOLDER / "dev_meta.json").read_text())["weights_with_decay"]

comparisons_are_counted = counted(
    {
        "test_sequences_and_predictions_of_segments_equal_the_released_code": 8,
        "test_losses_and_gradients_equal_the_released_code": 50,
        "test_where_episodes_end_matters": 1,
        "test_two_model_updates_equal_those_of_the_released_code": 8,
        "test_imagination_equals_the_released_code": 15,
        "test_one_pass_without_a_cache_tells_the_same": 5,
        "test_a_policy_update_equals_that_of_the_released_code": 14,
        "test_a_round_of_five_epochs_equals_that_of_the_released_code": 4,
    }
)


@pytest.fixture(params=["main", "alt"])
def configuration(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def golden(request: pytest.FixtureRequest, configuration: str) -> Golden:
    return load(configuration, request.param)


def by_sequence(rows: Tensor) -> Tensor:
    """[B, L, N, ...] in the order of the recording, [B * N, L, ...]."""
    return rows.transpose(1, 2).flatten(0, 1)


def test_sequences_and_predictions_of_segments_equal_the_released_code(golden: Golden) -> None:
    model, segments, main = golden.marie.model, recorded_segments(golden.set), golden.main
    assert model.perceiver is not None
    layers = list(model.transformer.layers)
    watch = Watch(
        perceiver=model.perceiver,
        cross=model.perceiver.cross_feed_forward,
        **{f"layer{index}": layer for index, layer in enumerate(layers)},
        transformer=model.transformer,
        norm_context=model.perceiver.norm_context,
    )
    ids = golden.marie.tokenizer.encode(segments.observation)
    predictions = model(ids, segments.action, segments.cut)
    if main:
        assert np.array_equal(ids.transpose(1, 2).numpy(), golden.set.exact["wm.token_ids"])
        assert np.array_equal(segments.action.transpose(1, 2).numpy(), golden.set.exact["wm.action_ids"])
        allowed = model.allowed(segments.cut)
        assert allowed is not None
        assert np.array_equal(allowed[:: model.agents].numpy(), golden.set.exact["wm.attention_allowed"])
        assert all(torch.equal(each, allowed[:: model.agents]) for each in allowed.unflatten(0, (-1, 3)).unbind(1))
        golden.close(watch.inputs["norm_context"][0][0], "wm.perceiver_context_first_step")
        golden.close(watch.one("cross"), "wm.perceiver_after_cross")
        golden.close(watch.one("perceiver"), "wm.perceiver_out")
        golden.close(watch.inputs["layer0"][0], "wm.sequence_in")
        golden.close(watch.one("layer0"), "wm.layer0_out")
        golden.close(watch.one("layer1"), "wm.layer1_out")
        golden.close(watch.one("transformer"), "wm.final_out")
        golden.close(predictions.observation, "wm.obs_logits")
        golden.close(by_sequence(predictions.reward), "wm.reward")
        golden.close(by_sequence(predictions.continuation), "wm.continue_logit")
        assert predictions.available is not None
        golden.close(by_sequence(predictions.available), "wm.avail_logits")
        edited = golden.set.exact["wm.batch_avail_after_edit"][:, 1:] > 0
        target = segments.next_available | segments.done.unsqueeze(-1)
        assert np.array_equal(target[:, :-1].numpy(), edited)
    else:
        golden.close(predictions.observation, "wm.obs_logits")
        golden.close(watch.one("perceiver"), "wm.perceiver_out")
        golden.close(watch.one("layer1"), "wm.layer1_out")
        golden.close(watch.one("transformer"), "wm.final_out")
        golden.close(by_sequence(predictions.continuation), "wm.continue_logit")
        golden.close(by_sequence(predictions.reward), "wm_alt.reward_logits")
        assert predictions.available is not None
        golden.close(by_sequence(predictions.available), "wm_alt.avail_logits")
        assert model.reward_bins is not None
        golden.close(by_sequence(model.reward_bins.encode(segments.reward)), "wm_alt.reward_target_probs")


TERMS = {"observation": "observation", "reward": "reward", "continue": "continue", "available": "avail"}


def test_losses_and_gradients_equal_the_released_code(golden: Golden) -> None:
    prefix, segments = PARTS[golden.configuration][0], recorded_segments(golden.set)
    loss = golden.marie.lose(segments)
    for term, value in loss.terms.items():
        golden.close_scalar(value, f"{prefix}.loss.{TERMS[term]}")
    golden.close_scalar(loss.total, f"{prefix}.loss.total")
    loss.total.backward()
    norms = golden.set.gradient_norms[f"{prefix}.grad"]
    assert norms.keys() <= golden.model.parameters.keys()
    for name in golden.model.parameters:
        gradient = golden.model.gradient(name)
        if name in norms:
            assert float(gradient.norm()) == pytest.approx(norms[name], rel=10 * golden.tolerance, abs=1e-6), name
            note(name)
        if f"{prefix}.grad.{name}" in golden.set.exact:
            golden.close(gradient, f"{prefix}.grad.{name}")


def test_where_episodes_end_matters(configuration: str) -> None:
    golden = load(configuration, torch.float64)
    marie, segments = golden.marie, recorded_segments(golden.set)
    ids = marie.tokenizer.encode(segments.observation)
    embedded = marie.model.embedded(ids, segments.action)
    hidden = marie.model.transformer(embedded, None).unflatten(1, (-1, marie.model.block))
    predictions = marie.model.predictions(hidden, segments=len(ids))
    settings = marie.settings.loss
    sizes = loss_sizes(marie.model, segments, settings)
    plain = marie_loss(marie.model, predictions, ids, segments, settings, sizes)
    golden.close_scalar(plain.total, f"{PARTS[configuration][0]}.loss.total_if_plain_causal_mask")


@pytest.mark.parametrize("at_once", [0, 1, 3])
def test_two_model_updates_equal_those_of_the_released_code(configuration: str, at_once: int) -> None:
    """All windows at once, or some after the other."""
    golden = load(configuration, torch.float64, at_once=at_once)
    prefix, segments, marie = PARTS[configuration][0], recorded_segments(golden.set), golden.marie
    decaying, others = marie.optimisers()["model"].param_groups
    for name, (parameter, _) in golden.model.parameters.items():
        group = decaying if name in WITH_DECAY else others
        assert any(parameter is each for each in group["params"]), name
    assert len(decaying["params"]) + len(others["params"]) == len(list(marie.model.parameters()))

    told = update(marie, segments)
    golden.close_scalar(told["model/gradient_norm"], f"{prefix}.grad_global_norm", tolerance=1e-8)
    after = [name for name in golden.model.parameters if f"{prefix}.after_step.{name}" in golden.set.exact]
    assert len(after) == (8 if golden.main else 0)
    for name in after:
        golden.close(golden.model.value(name), f"{prefix}.after_step.{name}")
    told = update(marie, segments)
    for term, recorded_term in TERMS.items():
        golden.close_scalar(told[f"model/{term}"], f"{prefix}.after_one_step.loss.{recorded_term}")
    total = sum(told[f"model/{term}"] for term in TERMS)
    golden.close_scalar(total, f"{prefix}.after_one_step.loss.total")
    golden.close_scalar(told["model/gradient_norm"], f"{prefix}.second_step.grad_global_norm", tolerance=1e-8)
    golden.close_scalar(marie.lose(segments).total, f"{prefix}.after_two_steps.loss.total")


def update(marie: Marie, segments: Any) -> dict[str, float]:
    metrics = Means()
    marie.update_model(segments, metrics)
    return metrics.result()


def test_imagination_equals_the_released_code(golden: Golden) -> None:
    prefix, marie = PARTS[golden.configuration][1], golden.marie
    model, policy = marie.model, marie.settings.policy
    assert model.perceiver is not None
    assert model.available is not None
    watch = Watch(
        actor=marie.actor,
        perceiver=model.perceiver,
        next_token=model.next_token,
        reward=model.reward,
        continuation=model.continuation,
        available=model.available,
    )
    dream = imagined(golden)
    done = slice(0, policy.horizon)
    (features,) = dream.features
    golden.close(features, f"{prefix}.actor_in")
    for ours, name in (
        (torch.stack(watch.outputs["actor"]), "policy_logits_raw"),
        (dream.logits, "policy_logits"),
        (dream.available, "avail_used"),
        (torch.stack(watch.outputs["perceiver"]), "perceiver_out"),
        (torch.stack(watch.inputs["reward"]), "aggregate_out"),
        (torch.stack(watch.outputs["reward"]), "reward_head"),
        (torch.stack(watch.outputs["continuation"]), "continue_logit"),
        (torch.stack(watch.outputs["available"]), "avail_logits"),
        (dream.reward, "reward"),
        (dream.continuation, "continue_prob"),
    ):
        assert ours is not None
        golden.close(ours, f"{prefix}.{name}", part=done)
    tokens = torch.stack(watch.outputs["next_token"]).unflatten(0, (policy.horizon, -1))  # [H - 1, K, N * n, C]
    golden.close(tokens.transpose(1, 2), f"{prefix}.obs_logits")
    golden.close(marie.critic(features.flatten(0, 1)), f"{prefix}.value")
    for sharing, name in ((policy.reward_sharing, ""), (OTHER[policy.reward_sharing], "_other_reward")):
        chosen = policy.model_copy(update={"reward_sharing": sharing})
        batch = policy_batch(dream, marie.critic, chosen, marie.actions)
        golden.close(batch.returns, f"{prefix}.lambda_return{name}")


OTHER = {"team": "individual", "individual": "team"}


def test_one_pass_without_a_cache_tells_the_same(golden: Golden) -> None:
    prefix, marie = PARTS[golden.configuration][1], golden.marie
    seen = marie.tokenizer.encode(starts_of(golden).observation[:, -1])
    ids = torch.cat([seen.unsqueeze(0), golden.set.ids(f"{prefix}.token_ids")]).transpose(0, 1)  # [M, H, N, K]
    action = golden.set.ids(f"{prefix}.action_ids").transpose(0, 1)
    predictions = marie.model(ids, action, torch.zeros(ids.shape[:2], dtype=torch.bool))
    assert predictions.available is not None
    golden.close(predictions.reward.transpose(0, 1), f"{prefix}.reward_head")
    golden.close(predictions.continuation.transpose(0, 1), f"{prefix}.continue_logit")
    golden.close(predictions.available.transpose(0, 1), f"{prefix}.avail_logits")
    outcome = marie.model.outcome(
        marie.model.transformer(marie.model.embedded(ids, action), None)[:, -1], segments=len(ids)
    )
    golden.close(outcome.reward, f"{prefix}.reward", part=-1)
    # The i-th logits are of the token after the i-th, so those of the first token of all are missing.
    tokens = ids.shape[-1]
    logits = predictions.observation[:, :, tokens - 1 : -1].unflatten(2, (-1, tokens))
    golden.close(logits.permute(2, 0, 1, 3, 4), f"{prefix}.obs_logits")


def perturbed(golden: Golden) -> tuple[ImaginedRollout, Places]:
    """What the recorded policy imagined; the actor of `Marie` has moved on since."""
    dream = imagined(golden)
    return dream, fill_actor(golden.marie.actor, f"actor_perturbed{PARTS[golden.configuration][3]}", golden.set)


def test_a_policy_update_equals_that_of_the_released_code(golden: Golden) -> None:
    prefix, marie = PARTS[golden.configuration][2], golden.marie
    dream, actor = perturbed(golden)
    policy = marie.settings.policy
    batch = policy_batch(dream, marie.critic, policy, marie.actions)
    raw_policy = policy.model_copy(update={"advantage_normalisation": False})
    raw = policy_batch(dream, marie.critic, raw_policy, marie.actions)
    golden.close(raw.advantage, f"{prefix}.advantage")
    golden.close(batch.advantage, f"{prefix}.advantage_normalised")
    logits = marie.actions.masked(marie.actor(*batch.features), batch.available)
    golden.close(logits, f"{prefix}.new_logits")
    ratio = torch.exp(marie.actions.log_probability(logits, batch.action) - batch.old_log_probability)
    golden.close(ratio, f"{prefix}.ratio")
    surrogate = -torch.minimum(ratio * batch.advantage, ratio.clamp(0.8, 1.2) * batch.advantage)
    golden.close(surrogate, f"{prefix}.policy_term")
    golden.close(-marie.actions.entropy(logits), f"{prefix}.negative_entropy")
    unnormalised = actor_loss(marie.actor, raw, marie.actions, clip=policy.clip, entropy_scale=policy.entropy_scale)
    golden.close_scalar(unnormalised.loss, f"{prefix}.actor_loss_raw_advantage")

    metrics = Means()
    marie.learn_policy(dream, metrics)
    told = metrics.result()
    golden.close_scalar(
        told["policy/surrogate"] - policy.entropy_scale * told["policy/entropy"], f"{prefix}.actor_loss"
    )
    for name, recorded_name in (
        ("entropy", "entropy_mean"),
        ("surrogate", "policy_term_mean"),
        ("clipped", "share_of_ratios_clipped"),
        ("critic_loss", "critic_loss"),
        ("actor_gradient_norm", "actor_grad_norm"),
        ("critic_gradient_norm", "critic_grad_norm"),
    ):
        loosest = 1e-7 if name in ("actor_gradient_norm", "critic_gradient_norm", "clipped") else 0.0
        golden.close_scalar(told[f"policy/{name}"], f"{prefix}.{recorded_name}", tolerance=loosest)
    for places in (actor, golden.critic):
        for name in places.parameters:
            if f"{prefix}.grad.{name}" in golden.set.exact:
                golden.close(places.gradient(name), f"{prefix}.grad.{name}")
    after = actor_loss(marie.actor, batch, marie.actions, clip=policy.clip, entropy_scale=policy.entropy_scale)
    golden.close_scalar(after.loss, f"{prefix}.actor_loss_after_one_adam_step")
    golden.close_scalar(critic_loss(marie.critic, batch), f"{prefix}.critic_loss_after_one_adam_step")
    assert marie.counters()["entropy_scale"] == 1e-3


class EachLoss(Means):
    """Keeps every value."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[dict[str, float]] = []

    def add(self, values: dict[str, float]) -> None:
        super().add(values)
        self.all.append(values)


def test_a_round_of_five_epochs_equals_that_of_the_released_code() -> None:
    golden = load("main", torch.float64, epochs=5)
    metrics, scale = EachLoss(), golden.marie.settings.policy.entropy_scale
    golden.marie.learn_policy(imagined(golden), metrics)
    *steps, _ = metrics.all
    losses = [step["policy/surrogate"] - scale * step["policy/entropy"] for step in steps]
    golden.close(torch.tensor(losses, dtype=torch.float64), "ppo.round.actor_loss", tolerance=1e-8)
    values = [step["policy/critic_loss"] for step in steps]
    golden.close(torch.tensor(values, dtype=torch.float64), "ppo.round.critic_loss", tolerance=1e-8)
    golden.close(golden.actor.value("actor.2.bias"), "ppo.round.actor_out_bias_after", tolerance=1e-8)
    golden.close(golden.critic.value("critic.embed.bias"), "ppo.round.critic_embed_bias_after", tolerance=1e-8)
