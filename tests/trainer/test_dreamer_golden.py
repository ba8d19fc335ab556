"""One update of `Mamba`, `Mag` and `Mabl` as they are made for training: recorded windows and draws go in, and the
parameters that come out give the losses that the released code had after its own update.  float64.

Their settings, optimisers, clipping and order of draws are those of the classes; the parts of an update are compared in
`test_mamba_golden.py` and its siblings.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from golden_comparisons import Comparisons, counted
from mabl_reference import BilevelReference, load_bilevel_reference
from mag_reference import Golden, load_golden
from mamba_reference import RecordedDraws, Reference, load_reference
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mabl.settings import MablSettings
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mag.settings import MagSettings
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.window import Window
from trainer.nets.means import Means
from trainer.policy.ppo import actor_loss, critic_loss, policy_batch
from trainer.world_model.imagination import Imagination, JointStates, roll_out
from trainer.world_model.model_error import model_error, predictor_loss

CPU = torch.device("cpu")
LOSS = {"reset_action_on_first": False, "across_episodes": True, "drop_last_row": True}
POLICY = {"horizon": 3, "force_available": False, "epochs": 1}

torch.set_num_threads(1)  # two threads on a small product cost more than they bring


def settings_of(reference: Reference | BilevelReference | Golden, **optimiser: float) -> dict[str, Any]:
    """As published; every rate and every clip that is not given here is a default."""
    return {
        "model": reference.model.settings.model_dump(),
        "loss": LOSS,
        "optimiser": optimiser,
        "policy": {**POLICY, "critic_heads": reference.dims["heads"]},
    }


def spec_of(dims: dict[str, int]) -> EnvironmentSpec:
    return EnvironmentSpec(
        id="recorded",
        agents=dims["agents"],
        observation_size=dims["obs"],
        actions=dims["actions"],
        state_size=dims.get("state", 0),
        episode_limit=16,
        complete_graph=True,
        outcome="return",
        has_action_mask=True,
    )


@torch.no_grad()
def take_over(network: nn.Module, recorded: nn.Module) -> None:
    """Weights, and the positional codes that are no weights, in float64."""
    network.double().load_state_dict(recorded.state_dict())
    for ours, theirs in zip(network.buffers(), recorded.buffers(), strict=True):
        ours.copy_(theirs)


class PerturbedMamba(Mamba):
    """Its actor has moved on since the policy that imagination follows, as in the recorded PPO step."""

    imagined_actor: nn.Module

    def imagination(self) -> Imagination:
        return replace(super().imagination(), actor=self.imagined_actor)


def mamba_of(reference: Reference) -> PerturbedMamba:
    settings = MambaSettings.model_validate(settings_of(reference))
    algorithm = PerturbedMamba(settings, spec_of(reference.dims), device=CPU)
    take_over(algorithm.model, reference.model)
    take_over(algorithm.actor, reference.actor_perturbed)
    take_over(algorithm.critic, reference.critic)
    algorithm.imagined_actor = reference.actor
    return algorithm


def mamba_draws(reference: Reference) -> RecordedDraws:
    """Of one window, and of the imagination that starts from its posteriors."""
    return RecordedDraws(
        latent=[*reference.ids("wm.post_ids"), *reference.ids("imag.latent_ids")],
        action=list(reference.ids("imag.action_ids")),
        available=list(reference.ids("imag.avail") > 0),
    )


def model_update(
    algorithm: Dreamer, window: Window, draws: list[RecordedDraws], numbers: Comparisons, names: dict[str, str]
) -> None:
    """Every term, the norm before clipping, and the loss of the same draws after the step."""
    metrics = Means()
    algorithm.draws = draws[0]
    algorithm.update_model(window, metrics)
    told = metrics.result()
    for term in (name.removeprefix("model/") for name in told if name != "model/gradient_norm"):
        numbers.scalar(told[f"model/{term}"], f"wm.loss.{names.get(term, term)}")
    numbers.scalar(told["model/gradient_norm"], "wm.grad_global_norm", tolerance=1e-7)
    algorithm.draws = draws[1]
    numbers.scalar(algorithm.observe_and_lose(window).total.detach(), "wm.loss_after_one_adam_step")


RENAMED = {"information": "info", "available": "avail"}

comparisons_are_counted = counted(
    {
        "test_a_model_update_of_mamba_equals_the_released_code": 8,
        "test_a_model_update_of_mabl_equals_the_released_code": 9,
        "test_a_policy_update_of_mamba_equals_the_released_code": 7,
        "test_an_update_of_mags_predictor_sees_what_the_released_code_shows_it": 2,
    }
)


def test_a_model_update_of_mamba_equals_the_released_code() -> None:
    reference = load_reference("dev", torch.float64)
    numbers = Comparisons(reference.outputs, reference.scalars)
    draws = [mamba_draws(reference) for _ in range(2)]
    model_update(mamba_of(reference), reference.window(), draws, numbers, RENAMED)


def test_a_model_update_of_mabl_equals_the_released_code() -> None:
    reference = load_bilevel_reference(torch.float64)
    numbers = Comparisons(reference.outputs, reference.scalars)
    settings = MablSettings.model_validate(settings_of(reference, learning_rate=3e-4))
    algorithm = Mabl(settings, spec_of(reference.dims), device=CPU)
    take_over(algorithm.model, reference.model)
    # The agents' posteriors of a window first, then the global ones, then the global priors.
    latent = [*reference.ids("wm.agent_post_ids"), *reference.ids("wm.global_post_ids")]
    latent.append(reference.ids("wm.global_prior_ids"))
    draws = [RecordedDraws(latent=latent, action=[], available=[]) for _ in range(2)]
    model_update(algorithm, reference.window(), draws, numbers, RENAMED)


def test_a_policy_update_of_mamba_equals_the_released_code() -> None:
    reference = load_reference("dev", torch.float64)
    numbers = Comparisons(reference.outputs, reference.scalars)
    algorithm, metrics = mamba_of(reference), Means()
    algorithm.draws = mamba_draws(reference)
    algorithm.learn_policy(algorithm.imagine_from(reference.window()), metrics)
    told = metrics.result()
    for name, recorded in (
        ("policy/entropy", "ppo.entropy_mean"),
        ("policy/surrogate", "ppo.policy_term_mean"),
        ("policy/critic_loss", "ppo.critic_loss"),
        ("policy/actor_gradient_norm", "ppo.actor_grad_norm"),
        ("policy/critic_gradient_norm", "ppo.critic_grad_norm"),
    ):
        numbers.scalar(told[name], recorded, tolerance=1e-8 if "norm" in name else 1e-9)
    batch = recorded_batch(reference, algorithm)
    after = actor_loss(algorithm.actor, batch, reference.actions, clip=0.2, entropy_scale=1e-3).loss
    numbers.scalar(after.detach(), "ppo.actor_loss_after_one_adam_step")
    numbers.scalar(critic_loss(algorithm.critic, batch).detach(), "ppo.critic_loss_after_one_adam_step")
    counters = algorithm.counters()
    assert (counters["entropy_scale"], counters["model_updates"]) == (1e-3 * 0.99998, 0)


def recorded_batch(reference: Reference, algorithm: Mamba) -> Any:
    """What PPO compared against, with the critic of before."""
    draws = mamba_draws(reference)
    with torch.no_grad():
        posteriors = reference.model.observe(reference.window(), draws.latent, reset_action_on_first=False)
    usable = reference.dims["usable_steps"]
    start = JointStates(
        ids=posteriors.ids[:usable].flatten(0, 1), deter=posteriors.deter[:usable].flatten(0, 1), hears=None
    )
    policy = algorithm.settings.policy
    world = Imagination(model=reference.model, actor=reference.actor, settings=policy, draws=draws)
    return policy_batch(roll_out(world, start, predict=world.predict), reference.critic, policy, reference.actions)


class WatchedDraws(RecordedDraws):
    """Keeps what latents were drawn from."""

    def latent(self, probabilities: Tensor) -> Tensor:
        self.last = probabilities
        return super().latent(probabilities)


def test_an_update_of_mags_predictor_sees_what_the_released_code_shows_it() -> None:
    """The released label stems from another unroll than its predictor's inputs, so that is worked out here: it equals
    the recorded one on the recorded unroll (`test_mag_golden.py`)."""
    golden = load_golden(torch.float64)
    numbers = Comparisons(golden.outputs, golden.scalars)
    settings = MambaSettings.model_validate(settings_of(golden))
    algorithm = Mag(settings, MagSettings(label="published"), spec_of(golden.dims), device=CPU)
    take_over(algorithm.model, golden.model)
    take_over(algorithm.error_predictor, golden.predictor)
    before = deepcopy(algorithm.error_predictor)
    seen: list[tuple[Tensor, Tensor]] = []
    shown: list[Tensor] = []
    algorithm.error_predictor.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    algorithm.error_predictor.register_forward_hook(lambda _, __, output: shown.append(output))
    prior_ids = golden.ids("pred.prior_ids")[:-1]
    draws = WatchedDraws(latent=[*golden.ids("pred.post_ids"), prior_ids], action=[], available=[])
    algorithm.draws, metrics = draws, Means()
    algorithm.update_predictor(golden.window(), metrics)
    ((ids, deter),) = seen
    assert torch.equal(ids, prior_ids)
    numbers.arrays(deter, "pred.deter")
    numbers.arrays(shown[0], "pred.error")
    recorded = torch.from_numpy(golden.outputs["pred.prior_logits_step1"]).double()
    prior = recorded.reshape(draws.last[1].shape).softmax(-1)
    torch.testing.assert_close(draws.last[1], prior, rtol=1e-5, atol=1e-6)

    posteriors = golden.posteriors("pred")
    label = model_error(golden.model, golden.window(), posteriors, algorithm.settings.loss, label="published")
    loss = predictor_loss(before, (prior_ids, deter), label)
    optimiser = torch.optim.Adam(before.parameters(), lr=5e-4)
    loss.backward()
    optimiser.step()
    told = metrics.result()
    torch.testing.assert_close(
        [told["mag/predictor_loss"], told["mag/model_error"]], [float(loss.detach()), float(label.mean())]
    )
    for ours, expected in zip(algorithm.error_predictor.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
