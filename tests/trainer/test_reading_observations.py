"""`policy.reads = observations`: actor and critic read what is observed beside the latents, or its reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from combinations import a_few
from equal_runs import assert_equal_runs
from tiny_dreamers import SPEC, batch, everyone, mabl, made, mamba
from tiny_team import SMALL, SMALL_MABL, resume, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from trainer.algorithms.dreamer.dreamer import Dreamer, show_observations
from trainer.export.bundles import export_team
from trainer.policy.draws import GreedyDraws, RandomDraws
from trainer.training.evaluation import evaluate
from trainer.training.training import Training
from trainer.world_model.imagination import roll_out

READS = {"policy": {"reads": "observations"}, "model": {"observations": "standardised"}}
"""On a scale, so that what is read is told apart from what is observed."""


def with_scale(learner: Dreamer) -> Dreamer:
    scale = learner.model.observation_scale
    assert scale is not None
    window = batch()
    scale.see(3 * window.observation + 1, window.present)
    return learner


@everyone
def test_a_policy_sees_what_its_latents_do_not_hold(make: Callable[..., Dreamer]) -> None:
    window = batch()
    for parts, differ in ((READS, True), ({"model": READS["model"]}, False)):
        learner = with_scale(made(make, parts))
        learner.draws = GreedyDraws()
        for parameter in learner.model.encoder.parameters():
            parameter.data.zero_()  # latents no longer depend on the observation
        outputs = []
        for observation in (window.observation, window.observation.roll(1, dims=1)):
            features = learner.features(replace(window, observation=observation))
            outputs.append((learner.actor(*features), learner.critic(*(each.flatten(0, 1) for each in features))))
        for one, other in zip(*outputs, strict=True):
            assert (not torch.allclose(one, other)) == differ


@everyone
def test_imagination_begins_with_what_was_observed_and_goes_on_with_reconstructions(
    make: Callable[..., Dreamer],
) -> None:
    learner, window = with_scale(made(make, READS)), batch()
    scale = learner.model.observation_scale
    assert scale is not None
    posteriors = learner._posteriors(window)
    start = learner.starts(window, posteriors, slice(3), RandomDraws())
    world = learner.imagination()
    rollout = roll_out(world, start, predict=learner.predict_by(world))
    ids, deter, seen = rollout.features
    assert torch.equal(seen[0], scale.to_scale(window.observation[:3]).flatten(0, 1))
    with torch.no_grad():
        reconstructed = learner.model.decoder(ids, deter)[0]
    torch.testing.assert_close(seen[1:], reconstructed[1:])
    assert not torch.allclose(seen[0], reconstructed[0])
    # What is drawn of imagination is reconstructed throughout, in the world's units.
    torch.testing.assert_close(learner.reconstructed(rollout), scale.from_scale(reconstructed))


def test_an_image_and_what_is_no_observation_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"policy\.reads = observations reads reconstructions"):
        made(mamba, {"policy": READS["policy"], "loss": {"reconstruction_loss": "bernoulli"}})
    learner = made(mabl, READS)
    with pytest.raises(SettingsError, match="observe images"):
        show_observations(learner.settings, learner.model, replace(SPEC, image=(1, 5, 1)))


READING = (
    "policy.reads=observations",
    "policy.experience_epochs=2",
    "model.observations=standardised",
    "loss.reconstruction_loss=squared",
)
WAYS = {
    "mamba": ("relay-signal", SMALL, "mamba", ()),
    "own parameters, imagination for the critic": (
        "relay-signal",
        SMALL,
        "mamba",
        ("mamba.model.shared=false", "mamba.policy.imagination_teaches=critic"),
    ),
    "mag": ("mag-relay", SMALL, "mamba", ()),
    "without messages": ("independent-relay", SMALL_MABL, "mabl", ()),
    "mabl": ("mabl-relay", SMALL_MABL, "mabl", ()),
    "mabl, global critic": ("mabl-relay", SMALL_MABL, "mabl", ("mabl.critic=global",)),
}


def run(path: Path, way: str, *, stop_after: int) -> Training:
    preset, small, section, more = WAYS[way]
    overrides = (*(f"{section}.{each}" for each in READING), *more)
    training = start(path, small_settings(preset, *overrides, env_steps=10_000, small=small), stop_after=stop_after)
    training.run()
    training.close()
    return training


@pytest.mark.slow
@pytest.mark.parametrize("way", a_few(WAYS, *(way for way in WAYS if way not in ("mag", "mabl"))))
def test_an_interrupted_run_ends_like_an_uninterrupted_one_and_its_bundles_do_what_its_networks_do(
    tmp_path: Path, way: str
) -> None:
    training = run(tmp_path / "whole", way, stop_after=4)
    run(tmp_path / "parts", way, stop_after=3)
    again = resume(tmp_path / "parts", stop_after=4)
    again.run()
    again.close()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")

    spec = training.algorithm.spec
    export_team(training.algorithm, spec, tmp_path / "team", run_id="reads", training_step=0)
    settings = training.settings.environment
    worlds = [registry.make(settings.id, count=count, parameters=settings.parameters) for count in (8, 1)]
    central = evaluate(
        training.algorithm.policy(), worlds[0], episodes=8, seed=3, greedy=False, device=torch.device("cpu")
    )
    team, stage = LocalTeam(load_team(tmp_path / "team"), run_seed=3, greedy=False), World(worlds[1])
    returns = [team.run_episode(stage, episode=episode).result.team_return for episode in range(8)]
    np.testing.assert_allclose(returns, central.team_return, rtol=0, atol=1e-5)
